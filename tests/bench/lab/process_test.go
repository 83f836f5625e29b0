package lab

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumberOf(t *testing.T) {
	const status = "Name:\tx\nRssAnon:\t    2048 kB\n" +
		"voluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\nEmpty:\n"
	for name, want := range map[string]float64{"RssAnon": 2048, "voluntary_ctxt_switches": 17} {
		got, err := numberOf(status, name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, missing := range []string{"Rss", "Empty", "Name"} {
		_, err := numberOf(status, missing)
		require.Error(t, err, missing)
	}
}

func TestProcess_ofThisOne(t *testing.T) {
	for name, of := range map[string]func(int) (float64, error){
		"wake-ups": WakeUps,
		"memory":   func(pid int) (float64, error) { return MemoryMiB(pid, "RssAnon") },
	} {
		got, err := of(os.Getpid())
		require.NoError(t, err, name)
		require.Positive(t, got, name)
	}
	_, err := ProcessorSeconds(os.Getpid())
	require.NoError(t, err)
	_, err = ProcessorSeconds(0)
	require.Error(t, err)
}
