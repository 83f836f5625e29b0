package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Smart is what a drive says of itself.
type Smart struct {
	Model, Serial string
	Passed        bool  // the drive's own verdict
	TemperatureC  int   // zero if it does not say
	PowerOnHours  int64 // zero if it does not say
	WearPercent   int   // of its life that is used up; above 100 is possible
	Reallocated   int64 // sectors that were replaced
	Pending       int64 // sectors that could not be read and wait to be written
	Uncorrectable int64 // errors that it could not correct
	SpareLow      bool  // NVMe: fewer spare blocks than its maker wants
	ReadOnly      bool  // NVMe: it takes no writes any more
}

// smartctl's JSON, as far as it is used.
type smartJSON struct {
	Smartctl struct {
		Messages []struct {
			Text     string `json:"string"`
			Severity string `json:"severity"`
		} `json:"messages"`
	} `json:"smartctl"`
	Model  string `json:"model_name"`
	Serial string `json:"serial_number"`
	Status *struct {
		Passed bool `json:"passed"`
	} `json:"smart_status"`
	Temperature struct {
		Current int `json:"current"`
	} `json:"temperature"`
	PowerOn struct {
		Hours int64 `json:"hours"`
	} `json:"power_on_time"`
	ATA struct {
		Table []struct {
			ID    int `json:"id"`
			Value int `json:"value"`
			Raw   struct {
				Value int64 `json:"value"`
			} `json:"raw"`
		} `json:"table"`
	} `json:"ata_smart_attributes"`
	NVMe struct {
		Critical    int   `json:"critical_warning"`
		Used        int   `json:"percentage_used"`
		MediaErrors int64 `json:"media_errors"`
	} `json:"nvme_smart_health_information_log"`
	SCSI struct {
		Read  scsiErrors `json:"read"`
		Write scsiErrors `json:"write"`
	} `json:"scsi_error_counter_log"`
	Grown int64 `json:"scsi_grown_defect_list"`
}

type scsiErrors struct {
	Uncorrected int64 `json:"total_uncorrected_errors"`
}

// The attributes of ATA drives that say that a disk dies, as makers agree on them.
const (
	ataReallocated   = 5
	ataReported      = 187
	ataPending       = 197
	ataUncorrectable = 198
	ataWearLeveling  = 177 // value counts down from 100
	ataLifetimeLeft  = 231 // likewise
)

// The bits of NVMe's critical warning.
const (
	nvmeSpareLow = 1 << 0
	nvmeReadOnly = 1 << 3
)

// ParseSmart reads the output of `smartctl --json --all`. The error wraps ErrNone if the device has no SMART.
func ParseSmart(output []byte) (Smart, error) {
	var j smartJSON
	if err := json.Unmarshal(output, &j); err != nil {
		return Smart{}, fmt.Errorf("output of smartctl: %w", err)
	}
	if j.Status == nil {
		var said []string
		for _, m := range j.Smartctl.Messages {
			said = append(said, m.Text)
		}
		if len(said) == 0 {
			said = []string{"the device tells no status"}
		}
		return Smart{}, fmt.Errorf("SMART: %w: %s", ErrNone, strings.Join(said, "; "))
	}
	s := Smart{
		Model: j.Model, Serial: j.Serial, Passed: j.Status.Passed, TemperatureC: j.Temperature.Current,
		PowerOnHours: j.PowerOn.Hours, WearPercent: j.NVMe.Used,
		Reallocated:   j.Grown,
		Uncorrectable: j.NVMe.MediaErrors + j.SCSI.Read.Uncorrected + j.SCSI.Write.Uncorrected,
		SpareLow:      j.NVMe.Critical&nvmeSpareLow != 0, ReadOnly: j.NVMe.Critical&nvmeReadOnly != 0,
	}
	for _, a := range j.ATA.Table {
		switch a.ID {
		case ataReallocated:
			s.Reallocated = a.Raw.Value
		case ataPending:
			s.Pending = a.Raw.Value
		case ataReported, ataUncorrectable:
			s.Uncorrectable = max(s.Uncorrectable, a.Raw.Value)
		case ataWearLeveling, ataLifetimeLeft:
			s.WearPercent = max(s.WearPercent, 100-a.Value)
		}
	}
	return s, nil
}

// Faults says what is wrong with the drive by its own word, the worst first; nil if nothing is. failing says that it
// should be replaced now.
func (s Smart) Faults() (faults []string, failing bool) {
	note := func(when bool, format string, args ...any) {
		if when {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	note(!s.Passed, "its own verdict is FAILED")
	note(s.ReadOnly, "it takes no writes any more")
	note(s.SpareLow, "its spare blocks are used up")
	note(s.Pending > 0, "%d sectors cannot be read", s.Pending)
	note(s.Uncorrectable > 0, "%d errors could not be corrected", s.Uncorrectable)
	note(s.WearPercent >= 90, "%d %% of its life is used up", s.WearPercent)
	note(s.Reallocated > 50, "%d sectors were replaced", s.Reallocated)
	return faults, !s.Passed || s.ReadOnly || s.SpareLow
}

// IsNone reports whether an error only means that there is nothing to look at.
func IsNone(err error) bool { return errors.Is(err, ErrNone) }
