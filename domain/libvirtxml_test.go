package domain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

func libvirtOrder() Order {
	o := qemuOrder()
	o.Driver = DriverLibvirt
	return o
}

// Every field of a definition is found again in the XML.
func TestLibvirtXML(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Order)
		has    []string
	}{
		"defaults": {func(*Order) {}, []string{"<domain type='kvm'", "<name>web1</name>",
			"<uuid>" + uuidOf("", "web1") + "</uuid>", "<memory unit='b'>536870912</memory>", "<vcpu>1</vcpu>",
			"machine='q35'", "mode='host-passthrough'", "name='root@5f'", "socket='/run/v/root/nbd.sock'",
			"<reconnect delay='60'/>", "<target dev='vda'", "path='/run/d/web1/console.sock'",
			"<log file='/run/d/web1/console.log' append='on'/>", "value='token-1'"}},
		"machine": {func(o *Order) { o.Machine.VCPUs, o.Machine.MemoryBytes = 4, 1<<30 },
			[]string{"<vcpu>4</vcpu>", ">1073741824<"}},
		"settings": {func(o *Order) {
			o.Settings = json.RawMessage(`{"accelerator": "tcg", "machine": "pc&x", "reconnect_delay": 5,
				"uuid": "00000000-0000-4000-8000-000000000001"}`)
		}, []string{"type='qemu'", "mode='maximum'", "machine='pc&amp;x'", "delay='5'",
			"<uuid>00000000-0000-4000-8000-000000000001<"}},
		"kernel": {func(o *Order) {
			o.Machine.Boot = &guest.Boot{Kernel: "/k", Initrd: "/i", CommandLine: "a='b' <c>", RootImage: "/r"}
		}, []string{"<kernel>/k</kernel>", "<initrd>/i</initrd>", "<cmdline>a=&#39;b&#39; &lt;c&gt;</cmdline>",
			"<source file='/r'/>", "<readonly/>", "<target dev='vdb'", "<boot order='2'/>"}},
		"firmware": {func(o *Order) { o.Machine.Boot = &guest.Boot{Firmware: "/f"} },
			[]string{"<loader type='rom'>/f</loader>"}},
		"interfaces": {func(o *Order) {
			o.Machine.Interfaces = []guest.Interface{{MAC: "52:54:00:00:00:01"},
				{MAC: "52:54:00:00:00:02", Bridge: "br0"}}
		}, []string{"<interface type='user'>", "<mac address='52:54:00:00:00:01'/>", "<source bridge='br0'/>"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := libvirtOrder()
			c.change(&o)
			s, err := libvirtSettingsOf(o.definition())
			require.NoError(t, err)
			text, err := libvirtXML(o, s, "token-1")
			require.NoError(t, err)
			for _, want := range c.has {
				require.Contains(t, text, want)
			}
		})
	}
}

// By the plain name a guest that connects again would go on with whatever is there.
func TestLibvirtXML_aPlainNameIsNotConnectedAgain(t *testing.T) {
	o := libvirtOrder()
	o.Volumes[0].BoundURL = ""
	s, err := libvirtSettingsOf(o.definition())
	require.NoError(t, err)
	text, err := libvirtXML(o, s, "token-1")
	require.NoError(t, err)
	require.NotContains(t, text, "<reconnect")
}

// The built-in template keeps that rule; a template of one's own has to.
func TestLibvirtXML_aTemplateThatConnectsAPlainNameAgainIsRefused(t *testing.T) {
	const bound = "nbd+unix:///root@5f?socket=/run/v/root/nbd.sock"
	for name, c := range map[string]struct{ bound, reconnect, says string }{
		"plain, none":      {"", ``, ""},
		"plain, off":       {"", `<reconnect delay="{{.Delay}}"/>`, ""},
		"plain, fixed":     {"", `<reconnect delay="60"/>`, "volume root has only its plain name"},
		"plain, no number": {"", `<reconnect delay="x"/>`, "volume root has only its plain name"},
		"plain, empty":     {"", `<reconnect/>`, "volume root has only its plain name"},
		"plain, second":    {"", `<reconnect delay="0"/><reconnect delay="9"/>`, "want {{if .Delay}}"},
		"bound, fixed":     {bound, `<reconnect delay="60"/>`, ""},
		"bound, off":       {bound, `<reconnect delay="0"/>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guest.xml")
			require.NoError(t, os.WriteFile(path, []byte(`<domain><name>web1</name><devices>{{range .Disks}}<disk>`+
				`<source name="{{.Export}}"><host socket="{{.Socket}}"/>`+c.reconnect+`</source></disk>{{end}}`+
				`</devices>`+
				`<q:commandline xmlns:q="http://libvirt.org/schemas/domain/qemu/1.0">`+
				`<q:env name="{{.TokenName}}" value="{{.Token}}"/></q:commandline></domain>`), 0o600))
			o := libvirtOrder()
			o.Volumes[0].BoundURL = c.bound
			s, err := libvirtSettingsOf(o.definition())
			require.NoError(t, err)
			s.Template = path
			_, err = libvirtXML(o, s, "token-1")
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, path)
		})
	}
}

// Whatever a template says, the guest is found again, by its name and by its process, and has its volumes.
func TestLibvirtXML_templatesAreHeldAgainstWhatMustBeInThem(t *testing.T) {
	const disk = `{{range .Disks}}<disk><source name="{{.Export}}"><host socket="{{.Socket}}"/></source></disk>{{end}}`
	const env = `<q:commandline xmlns:q="http://libvirt.org/schemas/domain/qemu/1.0">` +
		`<q:env name="{{.TokenName}}" value="{{.Token}}"/></q:commandline>`
	for name, c := range map[string]struct{ text, says string }{
		"good":          {"<domain><name>{{xml .Name}}</name><devices>" + disk + "</devices>" + env + "</domain>", ""},
		"no template":   {"{{.Nothing}}", "Nothing"},
		"broken":        {"{{", "unclosed action"},
		"no XML":        {"<domain>", "no XML of a domain"},
		"another thing": {"<network/>", "no XML of a domain"},
		"two":           {"<domain/><domain/>", "more behind the domain"},
		"name":          {"<domain><name>web2</name>" + env + "</domain>", `name is "web2"`},
		"token":         {"<domain><name>web1</name><devices>" + disk + "</devices></domain>", "could not be found"},
		"disk":          {"<domain><name>web1</name>" + env + "</domain>", "root@5f at /run/v/root/nbd.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guest.xml")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			o := libvirtOrder()
			s, err := libvirtSettingsOf(o.definition())
			require.NoError(t, err)
			s.Template = path
			_, err = libvirtXML(o, s, "token-1")
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, path)
		})
	}
}

// What a start that was given up left behind is ended before the next one, and nobody else's guest of that name.
func TestLibvirtIsOurs(t *testing.T) {
	o := libvirtOrder()
	o.Dir = "/run/d/web1 & 'more'"
	s, err := libvirtSettingsOf(o.definition())
	require.NoError(t, err)
	ours, err := libvirtXML(o, s, "token-1")
	require.NoError(t, err)
	elsewhere := o
	elsewhere.Dir = "/run/other/web1"
	own := s
	own.Template = "/etc/web1.xml"
	for name, c := range map[string]struct {
		text string
		o    Order
		s    libvirtSettings
		want bool
	}{
		"a start before":             {ours, o, s, true},
		"another cluster's":          {ours, elsewhere, s, false},
		"made by hand":               {strings.ReplaceAll(ours, EnvToken, "OTHER"), o, s, false},
		"no XML":                     {EnvToken + ConsoleSocket(o.Dir), o, s, false},
		"a template without console": {"<domain>" + EnvToken + "</domain>", o, own, true},
		"by hand, own template":      {"<domain/>", o, own, false},
	} {
		require.Equal(t, c.want, libvirtIsOurs(c.text, c.o, c.s), name)
	}
}

func TestLibvirtSettings_faultsNameTheField(t *testing.T) {
	for settings, says := range map[string]string{
		`{"socket": "x"}`:          "libvirt.socket",
		`{"uri": ""}`:              "libvirt.uri",
		`{"template": "x"}`:        "libvirt.template",
		`{"machine": ""}`:          "libvirt.machine",
		`{"accelerator": "xen"}`:   "libvirt.accelerator",
		`{"reconnect_delay": 0}`:   "libvirt.reconnect_delay",
		`{"uuid": "web1"}`:         "libvirt.uuid",
		`{"connection": "ssh://"}`: "libvirt.connection",
	} {
		o := libvirtOrder()
		o.Settings = json.RawMessage(settings)
		require.ErrorContains(t, Check(o.definition()), says)
	}
}
