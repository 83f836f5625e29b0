package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who got a certificate is waited for until it registers or is put out: each once, by its last token.
func TestUnregistered(t *testing.T) {
	s := newScript(t)
	s.apply(`raise_version 2
		init_cluster demo
		authority ca hours=24
		create_join t1 a until=60
		create_join t2 b until=60
		create_join t3 c until=60
		create_join t4 d until=60
		join t3 n3 n3 key=k3 now=1
		join t1 n1 n1 key=k1 now=2
		join t2 n1 n1 key=k1 now=3`)
	waited := func() (ids []string) {
		for _, j := range s.state.Unregistered() {
			ids = append(ids, j.ID+" "+j.Name)
		}
		return ids
	}
	require.Equal(t, []string{"t3 n3", "t2 n1"}, waited())
	require.Equal(t, "t2", s.state.Admitted("n1").ID)
	s.apply("register n1 storage stores=s1")
	require.Equal(t, []string{"t3 n3"}, waited())
	require.Nil(t, s.state.Admitted("n1"))
	s.apply("remove_node n3\nremove_node n1")
	require.Empty(t, waited())
}
