package libvirtd

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A daemon that takes the connection and never answers holds nobody up for longer than he is ready to wait.
func TestDaemon_thatIsSilentIsNotWaitedFor(t *testing.T) {
	silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "libvirt-sock"))
	require.NoError(t, err)
	defer silent.Close()
	d := Daemon{Socket: silent.Addr().String(), URI: "qemu:///system"}
	for name, call := range map[string]func(context.Context) error{
		"create": func(ctx context.Context) error { return d.Create(ctx, "<domain/>") },
		"quit":   func(ctx context.Context) error { return d.Quit(ctx, "web1") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		ended := make(chan error, 1)
		go func() { ended <- call(ctx) }()
		select {
		case err := <-ended:
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.NotErrorIs(t, err, ErrRefused, name)
		case <-time.After(10 * time.Second):
			require.Fail(t, "it is waited for", name)
		}
		cancel()
	}
}
