package devnet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/devnet"
)

// world is a switch with nodes a, b and c, each with a port 1 that counts what arrives.
type world struct {
	t *testing.T
	*devnet.Switch
	address   map[string]netip.Addr
	namespace map[string]string
	arrived   map[string]net.PacketConn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if err := devnet.Able(); err != nil {
		t.Skip(err)
	}
	w := &world{t, devnet.NewSwitch(), map[string]netip.Addr{}, map[string]string{}, map[string]net.PacketConn{}}
	t.Cleanup(w.Close)
	for i, name := range []string{"a", "b", "c"} {
		w.address[name] = netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)})
		w.on(name)
	}
	return w
}

func (w *world) on(name string) {
	w.t.Helper()
	var err error
	w.namespace[name], err = w.On(name, w.address[name], 0)
	require.NoError(w.t, err)
	require.NoError(w.t, devnet.Enter(w.namespace[name], func() (err error) {
		w.arrived[name], err = net.ListenPacket("udp4", w.address[name].String()+":1")
		return err
	}))
	w.t.Cleanup(func() { _ = w.arrived[name].Close() })
}

// reaches reports whether one of several datagrams gets from one node to another.
func (w *world) reaches(from, to string) bool {
	w.t.Helper()
	c := w.arrived[to]
	text := fmt.Sprintf("%s to %s at %s", from, to, time.Now())
	target := net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.address[to], 1))
	for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); {
		_, err := w.arrived[from].WriteTo([]byte(text), target)
		require.NoError(w.t, err)
		require.NoError(w.t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		p := make([]byte, 100)
		for {
			n, _, err := c.ReadFrom(p)
			if err != nil {
				break
			}
			if string(p[:n]) == text {
				return true
			}
		}
	}
	return false
}

func TestSwitch_cutsOneDirectionAndHeals(t *testing.T) {
	w := newWorld(t)
	require.True(t, w.reaches("a", "b"))
	require.True(t, w.reaches("b", "a"))

	require.NoError(t, w.Set("a", "b", devnet.Rules{Cut: true}))
	require.False(t, w.reaches("a", "b"))
	require.True(t, w.reaches("b", "a"), "the other direction is open")
	require.True(t, w.reaches("a", "c"))
	_, links := w.Show()
	require.Equal(t, []devnet.Link{{From: "a", To: "b", Rules: devnet.Rules{Cut: true}}}, links)

	require.NoError(t, w.Heal("c"))
	require.False(t, w.reaches("a", "b"), "c has nothing to do with it")
	require.NoError(t, w.Heal("b"))
	require.True(t, w.reaches("a", "b"))
	_, links = w.Show()
	require.Empty(t, links)
}

// TestSwitch_aOneWayCutStaysOneWay: hosts forget each other's hardware address in time, and ask for it with a frame
// whose answer the cut would lose.
func TestSwitch_aOneWayCutStaysOneWay(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.Set("b", "a", devnet.Rules{Cut: true}))
	require.True(t, w.reaches("a", "b"), "neither has spoken to the other before")
}

func TestSwitch_powerOffIsSilent(t *testing.T) {
	w := newWorld(t)
	var l, c net.Conn
	require.NoError(t, devnet.Enter(w.namespace["b"], func() error {
		listener, err := net.Listen("tcp4", w.address["b"].String()+":2")
		if err != nil {
			return err
		}
		defer listener.Close()
		return devnet.Enter(w.namespace["a"], func() (err error) {
			if c, err = net.Dial("tcp4", listener.Addr().String()); err == nil {
				l, err = listener.Accept()
			}
			return err
		})
	}))
	defer c.Close()
	w.Off("b")
	require.NoError(t, l.Close(), "the machine's connections end with it")
	require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "and nobody hears of that")
	require.False(t, w.reaches("a", "b"))
	w.on("b")
	require.True(t, w.reaches("a", "b"))
	require.True(t, w.reaches("b", "a"))
}

// TestSwitch_carriesAStream sends more than any buffer holds, in segments that the kernel left whole, with and without
// delay and loss.
func TestSwitch_carriesAStream(t *testing.T) {
	for name, rules := range map[string]devnet.Rules{
		"open": {}, "delay": {Delay: 2 * time.Millisecond}, "loss": {Loss: 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			require.NoError(t, w.Set("a", "b", rules))
			require.NoError(t, w.Set("b", "a", rules))
			var l net.Listener
			require.NoError(t, devnet.Enter(w.namespace["b"], func() (err error) {
				l, err = net.Listen("tcp4", w.address["b"].String()+":2")
				return err
			}))
			defer l.Close()
			const size = 8 << 20
			sent := make(chan error, 1)
			go func() {
				sent <- devnet.Enter(w.namespace["a"], func() error {
					c, err := net.Dial("tcp4", l.Addr().String())
					if err != nil {
						return err
					}
					defer c.Close()
					p := make([]byte, size)
					for i := range p {
						p[i] = byte(i * i >> 8)
					}
					_, err = c.Write(p)
					return err
				})
			}()
			c, err := l.Accept()
			require.NoError(t, err)
			defer c.Close()
			p, err := io.ReadAll(c)
			require.NoError(t, err)
			require.NoError(t, <-sent)
			require.Len(t, p, size)
			for i := range p {
				if p[i] != byte(i*i>>8) {
					t.Fatalf("byte %d is wrong", i)
				}
			}
		})
	}
}

func TestSwitch_aDelayHoldsEveryFrame(t *testing.T) {
	w := newWorld(t)
	require.True(t, w.reaches("a", "b"))
	require.NoError(t, w.Set("a", "b", devnet.Rules{Delay: 10 * time.Second}))
	require.False(t, w.reaches("a", "b"))
	require.True(t, w.reaches("b", "a"))
}

func TestSwitch_refusals(t *testing.T) {
	w := newWorld(t)
	require.ErrorContains(t, w.Set("a", "a", devnet.Rules{}), "itself")
	require.ErrorContains(t, w.Set("a", "b", devnet.Rules{Delay: -1}), "delay")
	require.ErrorContains(t, w.Set("a", "b", devnet.Rules{Loss: 1.5}), "loss")
	_, err := w.On("a", w.address["b"], 0)
	require.ErrorContains(t, err, "10.77.0.1")
	_, err = w.On("d", w.address["b"], 0)
	require.ErrorContains(t, err, "node b's")
	again, err := w.On("a", w.address["a"], 0)
	require.NoError(t, err)
	require.Equal(t, w.namespace["a"], again, "one that has a port keeps it")
}

func TestServe_throughASocketThatLiesDeep(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for len(dir) < 150 {
		dir = filepath.Join(dir, "a-directory-with-a-name")
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	socket := filepath.Join(dir, "switch.sock")
	_, err := devnet.Dial(socket)
	require.ErrorContains(t, err, socket)
	require.NoError(t, os.WriteFile(socket, nil, 0o600), "what a switch that was killed left")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- devnet.Serve(ctx, w.Switch, socket) }()
	var c *devnet.Client
	require.Eventually(t, func() bool {
		c, err = devnet.Dial(socket)
		return err == nil
	}, time.Minute, time.Millisecond)
	namespace, err := c.On("a", w.address["a"], 0)
	require.NoError(t, err)
	require.Equal(t, w.namespace["a"], namespace)
	require.NoError(t, c.Set("a", "c", devnet.Rules{Delay: time.Millisecond, Loss: 0.5}))
	require.ErrorContains(t, c.Set("a", "c", devnet.Rules{Loss: 2}), "loss")
	ports, links, err := c.Show()
	require.NoError(t, err)
	require.Len(t, ports, 3)
	require.Len(t, links, 1)
	require.Equal(t, "delay 1ms, loss 50 %", links[0].Rules.String())
	require.NoError(t, c.Heal(""))
	require.NoError(t, c.Off("b"))
	ports, links, err = c.Show()
	require.NoError(t, err)
	require.Len(t, ports, 2)
	require.Empty(t, links)
	stop()
	require.NoError(t, <-ended)
	c.Close()
}

// TestSwitch_remembersItsLinks: a switch that is killed is followed by one that cuts the same.
func TestSwitch_remembersItsLinks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "switch.json")
	begin := func() *devnet.Switch {
		s := devnet.NewSwitch()
		t.Cleanup(s.Close)
		require.NoError(t, s.KeepIn(file))
		return s
	}
	links := func(s *devnet.Switch) map[string]devnet.Rules {
		all := map[string]devnet.Rules{}
		_, shown := s.Show()
		for _, l := range shown {
			all[l.From+">"+l.To] = l.Rules
		}
		return all
	}
	s := begin()
	require.Empty(t, links(s))
	require.NoError(t, s.Set("a", "b", devnet.Rules{Cut: true}))
	require.NoError(t, s.Set("c", "b", devnet.Rules{Delay: time.Millisecond, Loss: 0.25}))
	require.NoError(t, s.Set("c", "a", devnet.Rules{Cut: true}))
	require.Error(t, s.Set("c", "a", devnet.Rules{Loss: 2}))
	want := map[string]devnet.Rules{"a>b": {Cut: true}, "c>b": {Delay: time.Millisecond, Loss: 0.25},
		"c>a": {Cut: true}}
	require.Equal(t, want, links(begin()))

	s = begin()
	require.NoError(t, s.Heal("a"))
	require.Equal(t, map[string]devnet.Rules{"c>b": {Delay: time.Millisecond, Loss: 0.25}}, links(begin()))
	require.NoError(t, s.Heal(""))
	require.Empty(t, links(begin()))

	for _, damaged := range []string{"[", `[{"from":"a","to":"a"}]`, `[{"from":"a","to":"b","rules":{"loss":3}}]`} {
		require.NoError(t, os.WriteFile(file, []byte(damaged), 0o600))
		s := devnet.NewSwitch()
		t.Cleanup(s.Close)
		require.ErrorContains(t, s.KeepIn(file), "damaged", damaged)
	}
}
