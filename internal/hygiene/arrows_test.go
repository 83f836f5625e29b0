package hygiene

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/holdfast-storage/holdfast/"

// arrow says what the packages at or below a folder may import: of this module, and from outside.
// The standard library is always allowed.
type arrow struct {
	from    string
	to      []string // folders of this module; "*" allows all
	outside []string // module path prefixes from outside
	why     string
}

// arrows is the picture of docs/architecture.md. The longest matching folder counts. A folder may
// always import what is below itself.
func arrows() []arrow {
	sys := "golang.org/x/sys"
	return []arrow{
		{"block", nil, []string{sys}, "the waist knows nothing of what is above or below it"},
		{"block/blocktest", []string{"block"}, []string{"github.com/stretchr/testify/"},
			"the suite for devices is called by the tests of every package that offers one"},
		{"block/plug", nil, nil, "who sends and who is in a burst know nothing of each other"},
		{"netio", nil, []string{sys}, "a connection is a connection, whatever is written to it"},
		{"volume", nil, nil, "shared words are pure values"},
		{"iscsi", nil, nil, "the wire is pure, so that both ends and the fuzzers share it"},
		{"scsi", []string{"block"}, nil, "a logical unit is a device, wherever that comes from"},
		{"target", []string{"scsi", "iscsi", "block", "netio"}, []string{sys},
			"the target asks its Admission; it never knows of raft or legs"},
		{"initiator", []string{"scsi", "iscsi", "block", "netio"}, []string{sys},
			"a remote LUN is a device, whoever uses it"},
		{"leg", []string{"block", "volume"}, []string{sys}, "a leg at rest knows neither the network nor raft"},
		{"leg/journal", []string{"volume"}, nil,
			"what a journal decides needs no disk, so that the simulation drives the same code"},
		{"parity", []string{"block", "volume"}, []string{"github.com/klauspost/reedsolomon"},
			"arithmetic, for the engine and for whoever puts a volume together without one"},
		{"mirror", []string{"block", "volume", "parity"}, nil,
			"the engine is testable without a network: it declares Leg and Authority"},
		{"export", []string{"block", "netio"}, []string{sys}, "an export serves any device"},
		{"raft", []string{"volume", "domain/guest"}, []string{"github.com/hashicorp/", "go.etcd.io/bbolt"},
			"state is data; applying it is the node's job"},
		{"domain", []string{"volume"}, []string{sys}, "a driver runs a guest and knows nothing of its disks"},
		{"strictyaml", nil, []string{"go.yaml.in/"}, "a file is read the same way, whatever it is about"},
		{"domain/libvirtd", nil, []string{"github.com/digitalocean/go-libvirt"},
			"whoever speaks to libvirt knows nothing of guests and volumes"},
		{"domain/definition", []string{"domain", "strictyaml", "volume"}, []string{"go.yaml.in/"},
			"a file is read without a cluster, by whoever has one"},
		{"domain/guest", nil, nil, "the words of a definition are pure values, which the coordinators keep"},
		{"api", []string{"volume", "domain/guest"}, []string{"github.com/danielgtaylor/huma/v2"},
			"the public API is served by whoever implements its Service"},
		{"site", []string{"api", "domain/definition", "domain/guest", "strictyaml", "volume"}, []string{"go.yaml.in/"},
			"a site is compared with what the API tells, and made so through it, by whoever may"},
		{"site/plan", []string{"api", "site", "domain/guest", "volume"}, nil,
			"a plan is pure: it knows no file and nobody to ask"},
		{"node", []string{"*"}, []string{"*"}, "the only place where parts meet"},
		{"cmd", []string{"node", "api", "volume", "domain/definition", "domain/guest", "site", "tests/sim"},
			[]string{"github.com/spf13/", "golang.org/x/term", sys},
			"flags and printing only"},
		{"internal", nil, []string{"*"}, "tools for tests"},
		{"tests/sim", []string{"block", "volume", "leg", "mirror", "parity", "raft"},
			[]string{"github.com/anishathalye/porcupine", "github.com/stretchr/testify/"},
			"the simulation is the pure cores and nothing else, so that one seed is one history"},
		{"tests", []string{"*"}, []string{"*"}, "what needs more than one package"},
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func TestArrows_everyImportFollowsThePicture(t *testing.T) {
	for _, p := range listPackages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		rule := ruleFor(from)
		require.NotEmptyf(t, rule.from,
			"package %s stands in no arrow: add it to arrows() and to docs/architecture.md", from)
		for _, imported := range p.Imports {
			require.Truef(t, allowed(rule, imported), "%s imports %s, but %s may import %v and %v from outside: %s",
				from, imported, rule.from, rule.to, rule.outside, rule.why)
		}
	}
}

// TestArrows_theRuleBites proves that the test above can fail.
func TestArrows_theRuleBites(t *testing.T) {
	require.False(t, allowed(ruleFor("mirror"), module+"initiator"))
	require.False(t, allowed(ruleFor("target"), module+"raft"))
	require.False(t, allowed(ruleFor("raft"), module+"mirror"))
	require.False(t, allowed(ruleFor("iscsi"), "github.com/stretchr/testify/require"))
	require.False(t, allowed(ruleFor("block"), module+"blockade"), "a prefix of a name is not a folder")
	require.True(t, allowed(ruleFor("mirror"), module+"block"))
	require.True(t, allowed(ruleFor("export/nbd"), module+"block"))
	require.True(t, allowed(ruleFor("leg"), "os"))
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		require.NoError(t, dec.Decode(&p))
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

func ruleFor(from string) arrow {
	var best arrow
	for _, a := range arrows() {
		if below(from, a.from) && len(a.from) > len(best.from) {
			best = a
		}
	}
	return best
}

func allowed(rule arrow, imported string) bool {
	if inside, ok := strings.CutPrefix(imported, module); ok {
		return below(inside, rule.from) || slices.ContainsFunc(rule.to, func(to string) bool {
			return to == "*" || below(inside, to)
		})
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(rule.outside, func(prefix string) bool {
		return prefix == "*" || strings.HasPrefix(imported, prefix)
	})
}

// below reports whether path is folder or stands below it.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
