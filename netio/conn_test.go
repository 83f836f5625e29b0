package netio

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rooms are bounds with room for a reader and without: both ways of waiting read alike.
func rooms() map[string]*Waits {
	return map[string]*Waits{"kernel": {room: 1}, "poller": {room: 0}}
}

func eachRoom(t *testing.T, test func(t *testing.T, peer, c net.Conn)) {
	for name, w := range rooms() {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(network+" "+name, func(t *testing.T) {
				a, b := pair(t)
				if network == "tcp" {
					a, b = tcpPair(t)
				}
				c, err := Direct(b, w)
				require.NoError(t, err)
				require.IsType(t, &Conn{}, c)
				c.(*Conn).reading.tempo.flows() // as after many messages: the first reader waits in the kernel, too
				t.Cleanup(func() { _ = c.Close() })
				require.Equal(t, a.RemoteAddr().Network(), c.LocalAddr().Network())
				test(t, a, c)
				require.Zero(t, w.waiting.Load())
			})
		}
	}
}

func tcpPair(t testing.TB) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestConn_readsWhatComes(t *testing.T) {
	eachRoom(t, func(t *testing.T, peer, c net.Conn) {
		got := make([]byte, 5)
		for range 3 {
			sent := make(chan error, 1)
			go func() {
				_, err := peer.Write([]byte("hello"))
				sent <- err
			}()
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
			require.NoError(t, <-sent)
		}
		require.NoError(t, peer.Close())
		_, err := c.Read(got)
		require.ErrorIs(t, err, io.EOF)
	})
}

// TestConn_echoes has a long talk in which either end is slow at times, so that the reader goes from one way of
// waiting to the other and back. A wake-up that is lost would stop it.
func TestConn_echoes(t *testing.T) {
	eachRoom(t, func(t *testing.T, peer, c net.Conn) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p := make([]byte, 64)
			for {
				n, err := c.Read(p)
				if err != nil {
					return
				}
				if _, err := c.Write(p[:n]); err != nil {
					return
				}
			}
		}()
		tick := time.NewTicker(2 * waitTime)
		defer tick.Stop()
		got := make([]byte, 3)
		for i := range 300 {
			if i%10 == 0 {
				<-tick.C
			}
			_, err := peer.Write([]byte{byte(i), 2, 3})
			require.NoError(t, err)
			_, err = io.ReadFull(peer, got)
			require.NoError(t, err)
			require.Equal(t, byte(i), got[0])
		}
		require.NoError(t, c.Close())
		<-ended
	})
}

// TestConn_writesWhatItMust writes more than a socket holds to a peer that reads late, also by a Sender.
func TestConn_writesWhatItMust(t *testing.T) {
	eachRoom(t, func(t *testing.T, peer, c net.Conn) {
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		read := make(chan []byte, 1)
		go func() {
			got := make([]byte, 2*len(want))
			_, _ = io.ReadFull(peer, got)
			read <- got
		}()
		n, err := c.Write(want)
		require.NoError(t, err)
		require.Equal(t, len(want), n)
		s := NewSender(c)
		done, err := s.Start([][]byte{want[:100], want[100:]})
		require.NoError(t, err)
		if !done {
			require.NoError(t, s.Finish())
		}
		got := <-read
		require.True(t, bytes.Equal(want, got[:len(want)]))
		require.True(t, bytes.Equal(want, got[len(want):]))
	})
}

// TestConn_manyWritersWait has more writers wait for room than may do so in the kernel: all of them get on.
func TestConn_manyWritersWait(t *testing.T) {
	w := &Waits{room: 1}
	w.writing.Store(writersMax)
	a, b := pair(t)
	c, err := Direct(b, w)
	require.NoError(t, err)
	defer c.Close()
	want := make([]byte, 4<<20)
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		written <- err
	}()
	got := make([]byte, len(want))
	_, err = io.ReadFull(a, got)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.Equal(t, int32(writersMax), w.writing.Load())
}

// TestConn_endsUnderAReader closes the connection, and sets a deadline, under a reader that waits.
func TestConn_endsUnderAReader(t *testing.T) {
	eachRoom(t, func(t *testing.T, peer, c net.Conn) {
		ended := make(chan error, 1)
		read := func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}
		go read()
		require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
		require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
		_, err := peer.Write([]byte{7})
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "though there is something")
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		go read()
		require.NoError(t, <-ended)
		go read()
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = c.Write([]byte{1})
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// TestConn_endsUnderAWriter closes the connection, and sets a deadline, under a writer whose peer does not read.
func TestConn_endsUnderAWriter(t *testing.T) {
	eachRoom(t, func(t *testing.T, _, c net.Conn) {
		ended := make(chan error, 1)
		write := func() {
			_, err := c.Write(make([]byte, 32<<20))
			ended <- err
		}
		go write()
		require.NoError(t, c.SetWriteDeadline(time.Unix(1, 0)))
		require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		go write()
		require.NoError(t, c.Close())
		require.Error(t, <-ended)
	})
}

// TestConn_deadlineOfItsBeginning: the one moment whose stamp would read as none. There is room for the write.
func TestConn_deadlineOfItsBeginning(t *testing.T) {
	_, b := pair(t)
	n, err := Direct(b, &Waits{})
	require.NoError(t, err)
	defer n.Close()
	c := n.(*Conn)
	require.NoError(t, c.SetDeadline(c.began))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = c.Write([]byte{1})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestDirect_leavesTheRestAlone(t *testing.T) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	c, err := Direct(a, &Waits{room: 1})
	require.NoError(t, err)
	require.Equal(t, a, c)
	u, _ := pair(t)
	c, err = Direct(u, nil)
	require.NoError(t, err)
	require.Equal(t, u, c)
}

func TestWaits_isBounded(t *testing.T) {
	w := &Waits{room: 2}
	require.True(t, w.enter())
	require.True(t, w.enter())
	require.False(t, w.enter())
	w.leave()
	require.True(t, w.enter())
}

func TestConn_allocatesNothing(t *testing.T) {
	a, b := pair(t)
	c, err := Direct(b, &Waits{room: 1})
	require.NoError(t, err)
	defer c.Close()
	one, got := []byte{1}, make([]byte, 8)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := a.Write(one); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(got); err != nil {
			t.Fatal(err)
		}
	}))
}
