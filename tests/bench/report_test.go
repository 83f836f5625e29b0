package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport_comparesRoundByRound(t *testing.T) {
	var out strings.Builder
	report(&out, jobs()[0], []server{{name: "a"}, {name: "b"}}, [][]measured{
		{{iops: 100, p99: 10, cpu: 1, memory: 5}, {iops: 300, p99: 20, cpu: 1, memory: 6}},
		{{iops: 50, p99: 20, cpu: 2, memory: 5}, {iops: 100, p99: 20, cpu: 4, memory: 6}},
	})
	require.Contains(t, out.String(), "2.50 (2.00–3.00)")
	require.Contains(t, out.String(), "0.75 (0.50–1.00)")
	require.Contains(t, out.String(), "0.38 (0.25–0.50)")
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 1.5, median([]float64{1, 2}))
}

func TestParseServer(t *testing.T) {
	s, err := parseServer("ours=iscsi://127.0.0.1:3260/iqn.x:d/0,42")
	require.NoError(t, err)
	require.Equal(t, server{"ours", "iscsi://127.0.0.1:3260/iqn.x:d/0", 42}, s)
	for _, bad := range []string{"", "ours", "ours=url", "ours=url,x"} {
		_, err := parseServer(bad)
		require.Error(t, err, bad)
	}
}
