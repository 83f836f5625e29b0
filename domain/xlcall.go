package domain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// xen is one guest as this host's Xen has it.
type xen struct {
	order    Order
	settings xlSettings
	env      []string // of the calls of xl
}

func (h xenHost) guest(o Order) (xen, error) {
	s, err := xlSettingsOf(o.definition())
	return xen{o, s, h.env}, err
}

// xenDomain is a line of `xl list`.
type xenDomain struct {
	id    string
	name  string
	uuid  string
	state string // letters and hyphens: running, blocked, paused, shut down, crashed, dying
}

func (d xenDomain) paused() bool { return strings.ContainsRune(d.state, 'p') }

// dying reports whether the hypervisor is about to forget it: it has no processor and no device any more.
func (d xenDomain) dying() bool { return strings.ContainsRune(d.state, 'd') }

// own returns the living domains that have the guest's UUID: at most one, unless somebody made another one by hand.
func (x xen) own(ctx context.Context) ([]xenDomain, error) {
	all, err := x.list(ctx)
	var own []xenDomain
	for _, d := range all {
		if d.uuid == x.settings.UUID && !d.dying() {
			own = append(own, d)
		}
	}
	return own, err
}

// refuseAnother refuses a start while there is a domain of the guest's name or UUID: nothing of an earlier run is left
// when a guest is started, so it is somebody else's, and not to be touched.
func (x xen) refuseAnother(ctx context.Context) error {
	all, err := x.list(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.dying() {
			continue
		}
		if d.name == x.order.Name {
			return fmt.Errorf("there is another domain of the name %s (%s, UUID %s), which is not the cluster's: "+
				"end it with xl, or name this one differently", d.name, d.id, d.uuid)
		}
		if d.uuid == x.settings.UUID {
			return fmt.Errorf("there is another domain of the UUID %s (%s, %s), which is not the cluster's: "+
				"end it with xl, or give this one another uuid", d.uuid, d.id, d.name)
		}
	}
	return nil
}

func (x xen) list(ctx context.Context) ([]xenDomain, error) {
	text, err := x.call(ctx, xlAnswer, "list", "-v")
	if err != nil {
		return nil, err
	}
	return parseXLList(text)
}

func (x xen) destroy(ctx context.Context, d xenDomain) error {
	_, err := x.call(ctx, xlDestroy, "destroy", d.id)
	return err
}

// parseXLList reads what `xl list -v` writes: a line of headings, and one for each domain. Other people's domains are
// among them, whose names may hold blanks, or what looks like the columns behind a name, or nothing: none of that may
// keep a guest from being found, and ended. So the columns are those that come last in a line.
func parseXLList(text string) ([]xenDomain, error) {
	row := regexp.MustCompile(`^(?:(.*)\s)?\s*([0-9]+)\s+[0-9]+\s+[0-9]+\s+([a-z-]{6})\s+[0-9.]+\s+` +
		`([0-9A-Fa-f-]{36})(?:\s|$)`)
	var all []xenDomain
	headed := false
	for line := range strings.Lines(text) {
		found := row.FindStringSubmatch(line)
		switch {
		case !headed:
			heads := strings.Join(strings.Fields(line), " ")
			if !strings.HasPrefix(heads, "Name ID Mem VCPUs State Time(s) UUID") {
				return nil, fmt.Errorf("xl list -v writes something unknown: %q", line)
			}
			headed = true
		case found == nil || !isUUID(found[4]):
			return nil, fmt.Errorf("xl list -v writes something unknown: %q", line)
		default:
			all = append(all, xenDomain{id: found[2], name: strings.TrimRight(found[1], " "),
				uuid: strings.ToLower(found[4]), state: found[3]})
		}
	}
	if !headed {
		return nil, errors.New("xl list -v writes nothing")
	}
	return all, nil
}

// call runs xl and returns what it prints.
func (x xen) call(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	return runXen(ctx, limit, x.env, x.settings.Binary, args...)
}

// runXen runs a program that ends by itself, for at most limit, and returns what it prints. What it starts and leaves
// behind is not waited for.
func runXen(ctx context.Context, limit time.Duration, env []string, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it succeeded, and what it started holds its output open
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no end within %s: %w", limit, ctx.Err())
		}
		said := strings.ReplaceAll(strings.TrimSpace(stderr.String()), "\n", "; ")
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, said)
	}
	return stdout.String(), nil
}
