package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// result is what a command line left behind.
type result struct {
	code           int
	stdout, stderr string
}

func runLine(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// TestRun_mistakes holds the exit codes and that each mistake is answered with what to do. None of
// these needs a cluster.
func TestRun_mistakes(t *testing.T) {
	t.Setenv("HOLDFAST_API", "")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	none := filepath.Join(dir, "none")
	for name, x := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no cluster named":  {[]string{"volume", "list"}, 2, []string{"HOLDFAST_API", "--api"}},
		"health of nothing": {[]string{"health"}, 2, []string{"HOLDFAST_API"}},
		"malformed endpoint": {[]string{"volume", "list", "--api", "http://x"}, 2,
			[]string{"http://x", "unix:///"}},
		"unknown command": {[]string{"volume", "frob"}, 2, []string{"frob", "holdfast volume --help"}},
		"unknown flag":    {[]string{"health", "--frob"}, 2, []string{"--frob", "Usage: holdfast health"}},
		"unknown form":    {[]string{"node", "list", "-o", "yaml"}, 2, []string{"yaml", "json"}},
		"no name":         {[]string{"volume", "create"}, 2, []string{"Usage: holdfast volume create NAME"}},
		"no size":         {[]string{"volume", "create", "web1"}, 2, []string{"--size is missing", "web1"}},
		"bad size":        {[]string{"volume", "create", "web1", "--size", "1X"}, 2, []string{"1X", "10G"}},
		"bad name":        {[]string{"volume", "create", "WEB", "--size", "1G"}, 1, []string{"WEB", "a-z"}},
		"long name": {[]string{"volume", "create", strings.Repeat("v", 64), "--size", "1G"}, 1,
			[]string{"1 to 63"}},
		"no host":      {[]string{"volume", "attach", "web1"}, 2, []string{"--host", "web1"}},
		"no directory": {[]string{"volume", "credential", "web1"}, 2, []string{"--out is missing", "web1"}},
		"too long": {[]string{"volume", "credential", "web1", "--out", none, "--days", "9999"}, 2,
			[]string{"--days 9999", "3650"}},
		"both": {[]string{"volume", "credential", "web1", "--out", none, "--revoke-all"}, 2,
			[]string{"--revoke-all makes no credential"}},
		"no definition": {[]string{"domain", "define"}, 2, []string{"-f"}},
		"missing file":  {[]string{"domain", "define", "-f", none}, 1, []string{none}},
		"empty file": {[]string{"domain", "define", "-f", file("empty", "\n")}, 1,
			[]string{"empty", "--help"}},
		"no driver": {[]string{"domain", "define", "-f", file("nodriver", "name: web1")}, 1,
			[]string{"driver: exec"}},
		"no domain name": {[]string{"domain", "define", "-f", file("noname", "driver: exec")}, 1,
			[]string{"domain name"}},
		"unknown field": {[]string{"domain", "define", "-f", file("field", "name: web1\nspeed: 1G\n")}, 1,
			[]string{"line 2, column 1", "speed is unknown"}},
		"what the driver cannot do": {[]string{"domain", "define", "-f", file("cannot", "name: web1\ndriver: exec\n"+
			"exec: {command: [x]}\nvcpus: 2\n")}, 1, []string{"line 4, column 8", "vcpus", "the driver exec"}},
		"two definitions": {[]string{"domain", "define", "-f", file("two", "name: a\n---\nname: b\n")}, 1,
			[]string{"more than one"}},
		"no dir":         {[]string{"dev", "up"}, 2, []string{"--dir"}},
		"no nodes":       {[]string{"dev", "up", "--dir", none, "--nodes", "0"}, 2, []string{"--nodes 0"}},
		"no dev cluster": {[]string{"dev", "kill", "n1", "--dir", none}, 1, []string{none, "dev up"}},
		"unknown role": {[]string{"dev", "add", "n1", "--dir", none, "--roles", "king"}, 2,
			[]string{"king", "storage"}},
		"drill of a copy":   {[]string{"drill", "web1", "--yes"}, 2, []string{"--real is missing"}},
		"drill of a volume": {[]string{"drill", "volume/root", "--real"}, 2, []string{"volume/root", "domain list"}},
		"why nothing":       {[]string{"why"}, 2, []string{"Usage: holdfast why OBJECT"}},
		"bad severity":      {[]string{"events", "--severity", "bad"}, 2, []string{"bad", "warning"}},
		"no config":         {[]string{"serve"}, 2, []string{"--config"}},
		"missing config":    {[]string{"serve", "--config", none}, 1, []string{none}},
		"no target":         {[]string{"target"}, 2, []string{"--listen", "--iqn", "--lun"}},
		"bad LUN": {[]string{"target", "--listen", "127.0.0.1:0", "--iqn", "iqn.2026-11.example:x",
			"--lun", "a,sise=1G"}, 2, []string{"sise=1G", "size=SIZE"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := runLine(t.Context(), x.args...)
			require.Equal(t, x.code, r.code, r.stderr)
			require.Empty(t, r.stdout)
			for _, word := range x.says {
				require.Contains(t, r.stderr, word)
			}
			require.NotContains(t, r.stderr, "main.", "types of this program mean nothing to its user")
		})
	}
}

func TestRun_healthWithoutAClusterIsAFinding(t *testing.T) {
	t.Setenv("HOLDFAST_API", "")
	r := runLine(t.Context(), "health", "-o", "json", "--api", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	require.Equal(t, exitAtRisk, r.code)
	require.Contains(t, r.stdout, `"status": "no_quorum"`)
	require.Contains(t, r.stdout, `"kind": "unreachable"`)
	require.Contains(t, r.stdout, "none.sock")
}

func TestRun_interrupted(t *testing.T) {
	t.Setenv("HOLDFAST_API", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGUSR1)
	defer stop()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	<-ctx.Done()
	r := runLine(ctx, "node", "replace", "n1", "n2")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "holdfast: interrupted: what was begun may go on")
}

// TestHelp_everyCommandHasAnExample holds that every example begins with a command that exists, and
// only uses flags that it has.
func TestHelp_everyCommandHasAnExample(t *testing.T) {
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			check(sub)
		}
		if cmd.HasSubCommands() && cmd.Name() != "demo" || cmd.Hidden {
			return
		}
		require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "holdfast ") {
				require.True(t, strings.HasPrefix(line, cmd.CommandPath()), line)
			}
			for _, word := range strings.Fields(line) {
				flag, isFlag := strings.CutPrefix(strings.Trim(word, `"')`), "--")
				if isFlag {
					require.NotNil(t, lookup(cmd, flag), "%s: --%s", cmd.CommandPath(), flag)
				}
			}
		}
	}
	check(newRoot())
}

func lookup(cmd *cobra.Command, name string) any {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	if f := cmd.InheritedFlags().Lookup(name); f != nil {
		return f
	}
	return nil
}
