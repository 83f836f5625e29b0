package volume

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		words string
		fault string
	}{
		{Limit{}, "none", ""},
		{Limit{Burst: time.Minute}, "none", ""},
		{Limit{IOPS: 500}, "500 requests a second, burst 1s", ""},
		{Limit{Bandwidth: 50 << 20, Burst: 3 * time.Second}, "50 MiB a second, burst 3s", ""},
		{Limit{IOPS: 10, Bandwidth: 1 << 20, Burst: 100 * time.Millisecond},
			"10 requests a second, 1 MiB a second, burst 100ms", ""},
		{Limit{IOPS: 9}, "9 requests a second, burst 1s",
			"a limit of 9 requests a second: it is 10 to 1000000000, 0 is none"},
		{Limit{IOPS: -1}, "-1 requests a second, burst 1s",
			"a limit of -1 requests a second: it is 10 to 1000000000, 0 is none"},
		{Limit{IOPS: 1_000_000_001}, "1000000001 requests a second, burst 1s",
			"a limit of 1000000001 requests a second: it is 10 to 1000000000, 0 is none"},
		{Limit{Bandwidth: 1<<20 - 1}, "1024.0 KiB a second, burst 1s",
			"a limit of 1048575 bytes a second: it is 1 MiB to 1 TiB, 0 is none"},
		{Limit{Bandwidth: 1<<40 + 1}, "1.0 TiB a second, burst 1s",
			"a limit of 1099511627777 bytes a second: it is 1 MiB to 1 TiB, 0 is none"},
		{Limit{Burst: time.Millisecond}, "none",
			"a burst of 1ms: it is 100ms to 1h0m0s, 0 is the default of 1s"},
		{Limit{Burst: -1}, "none", "a burst of -1ns: it is 100ms to 1h0m0s, 0 is the default of 1s"},
		{Limit{Burst: 2 * time.Hour}, "none", "a burst of 2h0m0s: it is 100ms to 1h0m0s, 0 is the default of 1s"},
	} {
		if got := c.limit.String(); got != c.words {
			t.Errorf("%#v: %q, want %q", c.limit, got, c.words)
		}
		fault := ""
		if err := c.limit.Check(); err != nil {
			fault = err.Error()
		}
		if fault != c.fault {
			t.Errorf("%#v: %q, want %q", c.limit, fault, c.fault)
		}
	}
}
