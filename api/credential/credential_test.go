package credential

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func TestBearer_isReadBack(t *testing.T) {
	s := NewSecret()
	again, err := ParseBearer(" " + s.Bearer() + "\n")
	require.NoError(t, err)
	require.Equal(t, s, again)
	require.True(t, again.Proves(s.Hash()))
	require.False(t, NewSecret().Proves(s.Hash()))
}

func TestJoin_isReadBack(t *testing.T) {
	j := Join{Cluster: volume.NewClusterID(), Name: "prod", CA: [32]byte{1, 2, 3}, Secret: NewSecret()}
	again, err := ParseJoin(j.Text())
	require.NoError(t, err)
	require.Equal(t, j, again)
}

// A token of which a part is missing or wrong is told from one that nobody knows, and not shown.
func TestParse_everyPrefixAndEveryChangeIsRefused(t *testing.T) {
	join := Join{Cluster: volume.NewClusterID(), Name: "prod", Secret: NewSecret()}.Text()
	bearer := NewSecret().Bearer()
	refused := func(join, bearer string) {
		t.Helper()
		_, err := ParseJoin(join)
		require.ErrorContains(t, err, "join token: it")
		require.NotContains(t, err.Error(), join+"x")
		_, err = ParseBearer(bearer)
		require.ErrorContains(t, err, "API token: it")
	}
	refused(bearer, join)
	for n := range join {
		refused(join[:n], bearer[:min(n, len(bearer)-1)])
		other := "A"
		if join[n] == 'A' {
			other = "B"
		}
		_, err := ParseJoin(join[:n] + other + join[n+1:])
		if n < len(join)-1 { // the last letter has spare bits
			require.Error(t, err)
		}
	}
}

func TestSecret_isNotPrinted(t *testing.T) {
	s := NewSecret()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(verb, s)
		require.Equal(t, "token "+s.ID(), text)
		require.False(t, strings.Contains(fmt.Sprintf(verb, Join{Secret: s}), fmt.Sprintf("%x", s.secret[:])))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Join{Cluster: volume.NewClusterID(), Name: "prod", Secret: NewSecret()}.Text())
	f.Add(NewSecret().Bearer())
	f.Fuzz(func(t *testing.T, text string) {
		if j, err := ParseJoin(text); err == nil {
			again, err := ParseJoin(j.Text())
			require.NoError(t, err)
			require.Equal(t, j, again)
		}
		if s, err := ParseBearer(text); err == nil {
			again, err := ParseBearer(s.Bearer())
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
	})
}
