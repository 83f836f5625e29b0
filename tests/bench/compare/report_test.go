package compare

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintJob_comparesRoundByRound(t *testing.T) {
	var out strings.Builder
	printJob(&out, Jobs()[0], []Server{{Name: "a"}, {Name: "b"}}, [][]Measured{
		{{IOPS: 100, P99: 10, CPU: 1, Memory: 5}, {IOPS: 300, P99: 20, CPU: 1, Memory: 6}},
		{{IOPS: 50, P99: 20, CPU: 2, Memory: 5}, {IOPS: 100, P99: 20, CPU: 4, Memory: 6}},
	})
	require.Contains(t, out.String(), "2.50 (2.00–3.00)")
	require.Contains(t, out.String(), "0.75 (0.50–1.00)")
	require.Contains(t, out.String(), "0.38 (0.25–0.50)")
	require.Equal(t, 2.0, Median([]float64{3, 1, 2}))
	require.Equal(t, 1.5, Median([]float64{1, 2}))
}

func TestParseServer(t *testing.T) {
	s, err := ParseServer("ours=nbd+unix:///v?socket=/run/a,b.sock,12+34")
	require.NoError(t, err)
	require.Equal(t, Server{Name: "ours", URL: "nbd+unix:///v?socket=/run/a,b.sock", PIDs: []int{12, 34}}, s)
	for _, bad := range []string{"", "ours", "ours=iscsi://x/y/1", "ours=iscsi://x/y/1,", "ours=iscsi://x/y/1,1+x"} {
		_, err := ParseServer(bad)
		require.Error(t, err, bad)
	}
}
