package netio

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTempo(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, int64(ms)*1e6) }
	var x tempo
	require.False(t, x.quick, "nothing came so far")
	x.rings(at(0))
	require.False(t, x.quick, "a lone message")
	x.rings(at(500))
	require.False(t, x.quick, "another one")
	x.rings(at(501))
	require.True(t, x.quick, "two in quick succession")
	x.flows()
	require.True(t, x.quick)
	x.rests(at(510))
	require.False(t, x.quick)
	x.rings(at(530))
	require.True(t, x.quick, "it goes on after less than quickTime")
	x.rests(at(535))
	x.rings(at(585))
	require.False(t, x.quick, "a lone one again")
}

func TestConn_isNotWaitedForInTheKernelBeforeTwoComeInQuickSuccession(t *testing.T) {
	a, b := pair(t)
	conn, err := Direct(b, &Waits{room: 1})
	require.NoError(t, err)
	c := conn.(*Conn)
	t.Cleanup(func() { _ = c.Close() })
	read := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	_, err = a.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, <-read)
	require.False(t, c.reading.waited)
}
