package devnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"path/filepath"
	"sync"
)

// Serve lets Clients use a switch through a unix socket until ctx ends. What is at the path is replaced.
func Serve(ctx context.Context, s *Switch, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("network: %w", err)
	}
	short, directory, err := shortened(socket)
	if err != nil {
		return err
	}
	defer directory.Close()
	l, err := net.Listen("unix", short)
	if err != nil {
		return fmt.Errorf("network: listen on %s: %w", socket, err)
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Switch", &service{s}); err != nil {
		return errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return errors.Join(fmt.Errorf("network: %w", err), l.Close())
		}
		connections.Go(func() {
			hangUp := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer hangUp()
			server.ServeCodec(jsonrpc.NewServerCodec(c))
		})
	}
}

// shortened names a socket by a path that is short enough for one, however deep its directory lies. The path is good
// as long as the directory is open.
func shortened(socket string) (string, *os.File, error) {
	directory, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return "", nil, fmt.Errorf("network: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", directory.Fd(), filepath.Base(socket)), directory, nil
}

// service is what Clients call: the methods of a Switch in the form that net/rpc wants.
type service struct{ s *Switch }

// OnArgs are the arguments of Switch.On, on their way between processes.
type OnArgs struct {
	Node    string
	Address netip.Addr
	Process int
}

// Shown is what Switch.Show returns, on its way between processes.
type Shown struct {
	Ports []Port
	Links []Link
}

// None is nothing, which net/rpc wants to have a type.
type None struct{}

// On is Switch.On.
func (v *service) On(a OnArgs, namespace *string) (err error) {
	*namespace, err = v.s.On(a.Node, a.Address, a.Process)
	return err
}

// Off is Switch.Off.
func (v *service) Off(node string, _ *None) error { v.s.Off(node); return nil }

// Set is Switch.Set.
func (v *service) Set(l Link, _ *None) error { return v.s.Set(l.From, l.To, l.Rules) }

// Heal is Switch.Heal.
func (v *service) Heal(node string, _ *None) error { return v.s.Heal(node) }

// Show is Switch.Show.
func (v *service) Show(_ None, all *Shown) error { all.Ports, all.Links = v.s.Show(); return nil }
