package target

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// Initiators that declare much and send nothing take the common memory, and no more; another one goes on, one
// command at a time if it must, and what they held is there again when they are gone.
func TestHostile_declareAndSendNothing(t *testing.T) {
	const common = 8 << 20
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.MemoryBytes = common })
		var hungry []*peer
		for i := range 20 {
			p := h.dial()
			p.isid[5] = byte(i + 1)
			p.login("InitialR2T", "No").ready()
			for range 16 {
				p.write(0, 8192, false, nil) // 4 MiB, of which nothing comes
			}
			hungry = append(hungry, p)
			go func() { // R2Ts and pings are read, and that is all
				var x iscsi.BHS
				for {
					if _, err := p.r.Next(&x); err != nil {
						return
					}
				}
			}()
		}
		synctest.Wait()
		require.Less(t, h.server.memory.free.Load(), int64(common/2))

		p := h.dial().login("InitialR2T", "Yes").ready()
		data := pattern(2 << 20)
		itt := p.write(0, uint32(len(data)/512), true, nil)
		p.answer(itt, data, 0)
		require.Equal(t, scsi.Good, p.status(itt))
		require.Equal(t, data, p.dataIn(p.read(0, uint32(len(data)/512))))

		for _, q := range hungry {
			q.raw.Close()
		}
		synctest.Wait()
		require.EqualValues(t, common, h.server.memory.free.Load(), "all of it came back")
		h.stop()
	})
}

// Where no memory is left for data that comes unasked, its command is BUSY: once all of the data has come.
func TestHostile_busyWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, func(o *Options) {
			o.MemoryBytes, o.MaxBurstBytes, o.FirstBurstBytes = 1, 64<<10, 64<<10
		})
		p := h.dial().login("InitialR2T", "No").ready()
		data := pattern(64 << 10)
		first := p.write(0, 128, true, data) // the share of the connection
		<-g.entered
		refused := p.write(128, 128, true, data)
		require.Equal(t, scsi.Busy, p.status(refused))
		later := p.write(128, 128, false, data[:4096])
		p.send(&iscsi.DataOut{ITT: later, TTT: iscsi.ReservedTag, BufferOffset: 4096}, data[4096:8192])
		p.ping() // not answered before its data has ended
		p.send(&iscsi.DataOut{Final: true, ITT: later, TTT: iscsi.ReservedTag, DataSN: 1, BufferOffset: 8192},
			data[8192:])
		require.Equal(t, scsi.Busy, p.status(later))
		close(g.release)
		require.Equal(t, scsi.Good, p.status(first))
		again := p.write(128, 128, true, data)
		require.Equal(t, scsi.Good, p.status(again))
		h.stop()
	})
}

// Ten thousand connections that never log in are few at a time, and keep nobody from logging in.
func TestHostile_connectionsThatNeverLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.MaxLogins, o.MaxConnections = 16, 64 })
		for range 10000 {
			h.dial()
		}
		synctest.Wait()
		h.server.mu.Lock()
		require.LessOrEqual(t, len(h.server.conns), 17)
		h.server.mu.Unlock()
		p := h.dial().login().ready()
		require.Equal(t, scsi.Good, p.status(p.testUnitReady()))
		for range 16 {
			h.dial()
		}
		require.Equal(t, scsi.Good, p.status(p.testUnitReady()), "a session is no login any more")
		h.stop()
	})
}

// A byte a second is no sign of life: PDUs are.
func TestHostile_oneByteASecond(t *testing.T) {
	for _, loggedIn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, &testAdmission{}, nil)
			p := h.dial()
			if loggedIn {
				p.login().ready()
				go func() {
					var x iscsi.BHS
					for {
						if _, err := p.r.Next(&x); err != nil {
							return
						}
					}
				}()
			}
			began := time.Now()
			for time.Since(began) < time.Hour {
				if _, err := p.raw.Write([]byte{0}); err != nil {
					break
				}
				time.Sleep(time.Second) // virtual
			}
			require.LessOrEqual(t, time.Since(began), 50*time.Second)
			h.stop()
		})
	}
}

// An initiator that reads nothing is ended, and meanwhile holds no more data-in than its budget.
func TestHostile_neverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.DataInBytes = 4 << 20 })
		p := h.dial().login().ready()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 100 {
				var x iscsi.BHS
				cmd := iscsi.SCSICommand{Read: true, Final: true, ExpectedDataTransferLength: 1 << 20, ITT: p.itt,
					CmdSN: p.cmdSN}
				p.itt, p.cmdSN = p.itt+1, p.cmdSN.Next()
				cdb := scsi.Read16CDB(0, 2048)
				copy(cmd.CDB[:], cdb[:])
				cmd.Encode(&x)
				if _, err := p.raw.Write(x[:]); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		h.server.mu.Lock()
		for c := range h.server.conns {
			c.mu.Lock()
			require.LessOrEqual(t, c.budget.inUsed, int64(4<<20))
			c.mu.Unlock()
		}
		h.server.mu.Unlock()
		began := time.Now()
		<-ended
		require.LessOrEqual(t, time.Since(began), 50*time.Second)
		h.stop()
	})
}
