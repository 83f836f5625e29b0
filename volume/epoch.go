package volume

import "fmt"

// Epoch numbers the grants to attach a volume. It only grows. Its upper 32 bits are the
// cluster's restore generation, so that no epoch is used twice after a restore of the coordinators
// (protocol-flush D.5).
type Epoch uint64

// CfgVer numbers the versions of a volume's in-sync list. It only grows; every change of the list,
// and every RemoveLeg, makes a new one. Its upper 32 bits are the restore generation.
type CfgVer uint64

// FirstEpoch returns the epoch below the first grant of a restore generation.
func FirstEpoch(restoreGen uint32) Epoch { return Epoch(uint64(restoreGen) << 32) }

// FirstCfgVer returns the configuration version below the first one of a restore generation.
func FirstCfgVer(restoreGen uint32) CfgVer { return CfgVer(uint64(restoreGen) << 32) }

// String prints the epoch as people count it, with the restore generation in front if there is one.
func (e Epoch) String() string { return versionString(uint64(e)) }

// String prints the version as people count it, with the restore generation in front if there is
// one.
func (c CfgVer) String() string { return versionString(uint64(c)) }

func versionString(v uint64) string {
	if v>>32 == 0 {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%d.%d", v>>32, v&0xffffffff)
}
