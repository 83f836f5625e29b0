package target

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/netio"
)

// Options configure a Server. The zero value of each field but Admission is a sound default.
//
// One connection holds at most QueueDepth·FirstBurstBytes + DataOutBytes + DataInBytes, and 2 MiB of
// answers and buffers. All together hold at most MemoryBytes, and for each connection MaxBurstBytes, those 2 MiB and
// the data of one command each way, so that none stands still because of others. Data counts as it was asked for;
// the memory for it is rounded up to a power of two.
type Options struct {
	Admission Admission    // required
	Logger    *slog.Logger // nil discards
	Random    io.Reader    // of CHAP challenges; nil = crypto/rand
	Waits     *netio.Waits // bounds the connections that wait for commands in the kernel; nil = none does

	MaxConnections  int           // open at once, of all targets; 0 = 1024
	MaxLogins       int           // connections not logged in, or for discovery; one more ends the oldest; 0 = 128
	LoginTimeout    time.Duration // from accept to the final Login Response, with Admit; 0 = 30 s
	Farewell        time.Duration // Shutdown asks initiators to log out and waits so long; 0 = it does neither
	KeepAlive       time.Duration // of silence until a NOP-In, and again until a reset; 0 = 15 s
	QueueDepth      int           // commands of one session, the CmdSN window; 1 to 1024, 0 = 128
	Workers         int           // goroutines of one session that run slow commands; 0 = 16
	FirstBurstBytes uint32        // of unsolicited data of one command; 512 to 2^24-1, 0 = 256 KiB
	MaxBurstBytes   uint32        // of one R2T or Data-In sequence; 512 to 2^24-1, 0 = 1 MiB
	MaxSegmentBytes uint32        // of one PDU that is received; 512 to 2^24-1, 0 = 256 KiB
	DataOutBytes    int64         // of data-out that one connection has asked for; 0 = 16 MiB
	DataInBytes     int64         // of data-in that one connection holds; 0 = 16 MiB
	MemoryBytes     int64         // of data of all connections, see above; 0 = 1 GiB
}

const (
	// portalGroup is the tag of the only portal group: all listeners of a Server are one.
	portalGroup = 1
	// readerBytes is the buffer of a connection's reader: some 30 writes of 4 KiB.
	readerBytes = 128 << 10
	// immediateMax bounds the immediate commands that a session may add to QueueDepth.
	immediateMax = 16
)

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.MaxConnections = cmp.Or(o.MaxConnections, 1024)
	o.MaxLogins = cmp.Or(o.MaxLogins, 128)
	o.LoginTimeout = cmp.Or(o.LoginTimeout, 30*time.Second)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.QueueDepth = cmp.Or(o.QueueDepth, 128)
	o.Workers = cmp.Or(o.Workers, 16)
	o.FirstBurstBytes = cmp.Or(o.FirstBurstBytes, 256<<10)
	o.MaxBurstBytes = cmp.Or(o.MaxBurstBytes, 1<<20)
	o.MaxSegmentBytes = cmp.Or(o.MaxSegmentBytes, 256<<10)
	o.DataOutBytes = cmp.Or(o.DataOutBytes, 16<<20)
	o.DataInBytes = cmp.Or(o.DataInBytes, 16<<20)
	o.MemoryBytes = cmp.Or(o.MemoryBytes, 1<<30)
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return o
}

// validate returns every fault of the options, joined. It is called after withDefaults.
func (o Options) validate() error {
	var faults []error
	check := func(name string, value, least, most int64) {
		if value < least || value > most {
			faults = append(faults, fmt.Errorf("target options: %s is %d, want %d to %d",
				name, value, least, most))
		}
	}
	if o.Admission == nil {
		faults = append(faults, errors.New("target options: Admission is missing"))
	}
	check("MaxConnections", int64(o.MaxConnections), 1, 65000) // each needs a TSIH of its own
	check("MaxLogins", int64(o.MaxLogins), 1, 65000)
	check("MemoryBytes", o.MemoryBytes, 1, 1<<50)
	check("LoginTimeout", int64(o.LoginTimeout), 1, int64(time.Hour))
	check("Farewell", int64(o.Farewell), 0, int64(time.Hour))
	check("KeepAlive", int64(o.KeepAlive), int64(time.Millisecond), int64(time.Hour))
	check("QueueDepth", int64(o.QueueDepth), 1, 1024)
	check("Workers", int64(o.Workers), 1, 1024)
	check("FirstBurstBytes", int64(o.FirstBurstBytes), 512, 1<<24-1)
	check("MaxBurstBytes", int64(o.MaxBurstBytes), int64(o.FirstBurstBytes), 1<<24-1)
	check("MaxSegmentBytes", int64(o.MaxSegmentBytes), 512, 1<<24-1)
	check("DataOutBytes", o.DataOutBytes, int64(o.MaxBurstBytes), 1<<40)
	check("DataInBytes", o.DataInBytes, int64(o.MaxBurstBytes), 1<<40)
	return errors.Join(faults...)
}

// preferences returns what the server wants of the operational keys.
func (o Options) preferences() iscsi.Preferences {
	digests := []string{iscsi.DigestNone, iscsi.DigestCRC32C}
	return iscsi.Preferences{
		HeaderDigest:             digests,
		DataDigest:               digests,
		MaxRecvDataSegmentLength: o.MaxSegmentBytes,
		MaxBurstLength:           o.MaxBurstBytes,
		FirstBurstLength:         o.FirstBurstBytes,
		MaxOutstandingR2T:        1,
		ImmediateData:            true,
		DefaultTime2Wait:         2,
		DefaultTime2Retain:       0, // a session does not outlive its connection
	}
}
