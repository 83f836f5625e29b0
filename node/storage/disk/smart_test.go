package disk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParseSmart reads outputs of smartctl, shortened to what is used and its surroundings.
func TestParseSmart(t *testing.T) {
	for name, x := range map[string]struct {
		want    Smart
		faults  []string
		failing bool
	}{
		"sata_well": {want: Smart{Model: "WDC WD40EFRX-68WT0N0", Serial: "WD-0000", Passed: true, TemperatureC: 31,
			PowerOnHours: 30000}},
		"sata_dying": {want: Smart{Model: "Hitachi HDS721050DLE630", Serial: "MSK-0000", TemperatureC: 25,
			PowerOnHours: 65592, Reallocated: 1975, Pending: 8, Uncorrectable: 3}, failing: true,
			faults: []string{"its own verdict is FAILED", "8 sectors cannot be read", "3 errors could not be corrected",
				"1975 sectors were replaced"}},
		"sata_ssd_worn": {want: Smart{Model: "Samsung SSD 860", Serial: "S-0000", Passed: true, WearPercent: 95,
			TemperatureC: 30, PowerOnHours: 40000}, faults: []string{"95 % of its life is used up"}},
		"nvme_well": {want: Smart{Model: "Samsung SSD 970 EVO 500GB", Serial: "S46-0000", Passed: true,
			TemperatureC: 35, PowerOnHours: 12798, WearPercent: 3}},
		"nvme_dying": {want: Smart{Model: "Samsung SSD 970 EVO 500GB", Serial: "S46-0000", TemperatureC: 35,
			PowerOnHours: 12798, WearPercent: 104, Uncorrectable: 7, SpareLow: true, ReadOnly: true}, failing: true,
			faults: []string{"its own verdict is FAILED", "it takes no writes any more", "its spare blocks are used up",
				"7 errors could not be corrected", "104 % of its life is used up"}},
		"sas": {want: Smart{Model: "SEAGATE ST4000NM0043", Serial: "Z1Z-0000", Passed: true, TemperatureC: 34,
			PowerOnHours: 43549, Reallocated: 56, Uncorrectable: 2},
			faults: []string{"2 errors could not be corrected", "56 sectors were replaced"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			require.NoError(t, err)
			got, err := ParseSmart(text)
			require.NoError(t, err)
			require.Equal(t, x.want, got)
			faults, failing := got.Faults()
			require.Equal(t, x.faults, faults)
			require.Equal(t, x.failing, failing)
		})
	}
}

func TestParseSmart_thereIsNone(t *testing.T) {
	for text, why := range map[string]string{
		`{"smartctl":{"messages":[{"string":"/dev/vda: Unable to detect device type","severity":"error"}],` +
			`"exit_status":1}}`: "Unable to detect device type",
		`{"smartctl":{"messages":[{"string":"Device is in STANDBY mode, exit(2)"}],"exit_status":2},` +
			`"device":{"name":"/dev/sda","type":"sat"}}`: "STANDBY",
		`{}`: "tells no status",
	} {
		_, err := ParseSmart([]byte(text))
		require.ErrorIs(t, err, ErrNone)
		require.True(t, IsNone(err))
		require.ErrorContains(t, err, why)
	}
	for _, text := range []string{"", "smartctl 5.1\n", `{"smart_status":`, `{"smart_status":{"passed":"yes"}}`} {
		_, err := ParseSmart([]byte(text))
		require.Error(t, err, text)
		require.False(t, IsNone(err), text)
	}
}

func FuzzParseSmart(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSmart(text)
		if err == nil {
			faults, _ := s.Faults()
			require.NotContains(t, strings.Join(faults, ""), "\x00%!")
		}
	})
}
