package initiator

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

func filled(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(1 + i%251)
	}
	return p
}

func TestSession_read(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, _ *down) {
		withStatus := newCall(scsi.Read16CDB(8, 2), nil, make([]byte, 1024))
		withResponse := newCall(scsi.Read16CDB(10, 2), nil, make([]byte, 1024))
		withStatus.LUN = 1 << 48
		s.Submit(&withStatus.Task)
		s.Submit(&withResponse.Task)
		first, _ := p.command()
		second, _ := p.command()
		require.Equal(t, scsi.Read16CDB(8, 2), scsi.CDB(first.CDB))
		require.Equal(t, uint64(1<<48), first.LUN)
		require.Equal(t, uint32(1024), first.ExpectedDataTransferLength)
		require.True(t, first.Read && !first.Write && first.Final)
		require.NotEqual(t, first.ITT, second.ITT)

		// The answers come interleaved, the second command's first.
		p.dataIn(iscsi.DataIn{ITT: second.ITT}, filled(1024)[:1000])
		p.dataIn(iscsi.DataIn{ITT: first.ITT, HasStatus: true, Final: true}, filled(1024))
		p.dataIn(iscsi.DataIn{ITT: second.ITT, BufferOffset: 1000, DataSN: 1, Final: true}, filled(1024)[1000:])
		require.Zero(t, withResponse.done, "not before its status")
		p.respond(second.ITT, scsi.Good, scsi.Sense{})
		synctest.Wait()
		for _, c := range []*call{withStatus, withResponse} {
			require.Equal(t, 1, c.done)
			require.NoError(t, c.Result())
			require.Equal(t, 1024, c.Received)
			require.Zero(t, c.Residual)
			require.Equal(t, filled(1024), c.DataIn)
		}
	})
}

func TestSession_statusWithSense(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, _ *down) {
		for _, want := range []struct {
			status scsi.Status
			sense  scsi.Sense
			err    error
		}{
			{scsi.CheckCondition, scsi.Sense{Key: scsi.MediumError, ASC: 0x11, Information: 9, Valid: true},
				block.ErrMedium},
			{scsi.ReservationConflict, scsi.Sense{}, block.ErrFenced},
			{scsi.TaskAborted, scsi.Sense{}, block.ErrFailed},
		} {
			c := newCall(scsi.TestUnitReadyCDB(), nil, nil)
			s.Submit(&c.Task)
			command, _ := p.command()
			p.respond(command.ITT, want.status, want.sense)
			synctest.Wait()
			require.Equal(t, want.status, c.Status)
			require.Equal(t, want.sense, c.Sense)
			require.ErrorIs(t, c.Result(), want.err)
		}
		c := newCall(scsi.TestUnitReadyCDB(), nil, nil)
		s.Submit(&c.Task)
		command, _ := p.command()
		p.send(&iscsi.SCSIResponse{ITT: command.ITT, Response: iscsi.TargetFailure, StatSN: p.statSN}, nil)
		synctest.Wait()
		require.ErrorIs(t, c.Result(), block.ErrFailed)
	})
}

// collectWrite reads the data of one write, playing the target to the end.
func (p *peer) collectWrite(want int, burst uint32) []byte {
	p.t.Helper()
	command, data := p.command()
	require.Equal(p.t, uint32(want), command.ExpectedDataTransferLength)
	final := command.Final
	for !final { // unsolicited data
		got := p.next(iscsi.OpDataOut)
		out, err := iscsi.ParseDataOut(&got.BHS)
		require.NoError(p.t, err)
		require.Equal(p.t, iscsi.ReservedTag, out.TTT)
		require.Equal(p.t, len(data), int(out.BufferOffset))
		data, final = append(data, got.data...), out.Final
	}
	for sequence := uint32(0); len(data) < want; sequence++ {
		n := min(burst, uint32(want-len(data)))
		p.send(&iscsi.R2T{ITT: command.ITT, TTT: 70 + sequence, StatSN: p.statSN, ExpCmdSN: p.expCmd,
			MaxCmdSN: p.expCmd + p.window - 1, R2TSN: iscsi.Serial(sequence),
			BufferOffset: uint32(len(data)), DesiredDataTransferLength: n}, nil)
		for dataSN, end := iscsi.Serial(0), len(data)+int(n); len(data) < end; dataSN++ {
			got := p.next(iscsi.OpDataOut)
			out, err := iscsi.ParseDataOut(&got.BHS)
			require.NoError(p.t, err)
			require.Equal(p.t, 70+sequence, out.TTT)
			require.Equal(p.t, dataSN, out.DataSN)
			require.Equal(p.t, len(data), int(out.BufferOffset))
			data = append(data, got.data...)
			require.Equal(p.t, len(data) == end, out.Final)
		}
	}
	p.respond(command.ITT, scsi.Good, scsi.Sense{})
	return data
}

func TestSession_write(t *testing.T) {
	for name, operational := range map[string]string{
		"solicited only":        "InitialR2T=Yes ImmediateData=No FirstBurstLength=4096 MaxBurstLength=16384",
		"immediate":             "InitialR2T=Yes ImmediateData=Yes FirstBurstLength=4096 MaxBurstLength=16384",
		"unsolicited":           "InitialR2T=No ImmediateData=No FirstBurstLength=20000 MaxBurstLength=32768",
		"immediate, then more":  "InitialR2T=No ImmediateData=Yes FirstBurstLength=30000 MaxBurstLength=32768",
		"with digests":          "InitialR2T=No ImmediateData=Yes HeaderDigest=CRC32C DataDigest=CRC32C",
		"segments of 512 bytes": "InitialR2T=No ImmediateData=Yes MaxRecvDataSegmentLength=512 FirstBurstLength=4096",
	} {
		t.Run(name, func(t *testing.T) {
			digests := func(o *Options) { o.HeaderDigest, o.DataDigest = true, true }
			withSession(t, operational, digests, func(p *peer, s *Session, _ *down) {
				p.setDigests(s.Params().Digests)
				for _, n := range []int{1, 511, 4096, 4097, 65536, 100000} {
					data := filled(n)
					c := newCall(scsi.Write16CDB(0, 1, false), data, nil)
					s.Submit(&c.Task)
					require.Equal(t, data, p.collectWrite(n, s.Params().MaxBurstLength))
					synctest.Wait()
					require.Equal(t, 1, c.done)
					require.NoError(t, c.Result())
					require.Zero(t, c.Residual)
				}
			})
		})
	}
}

// What the target does not ask for was not written, whatever status it gives.
func TestSession_statusBeforeAllWasMoved(t *testing.T) {
	withSession(t, "InitialR2T=Yes FirstBurstLength=4096", nil, func(p *peer, s *Session, _ *down) {
		write := newCall(scsi.Write16CDB(0, 1, false), filled(10000), nil)
		s.Submit(&write.Task)
		command, data := p.command()
		require.Len(t, data, 4096)
		p.respond(command.ITT, scsi.Good, scsi.Sense{})

		read := newCall(scsi.Read16CDB(0, 1), nil, make([]byte, 1024))
		s.Submit(&read.Task)
		command, _ = p.command()
		p.dataIn(iscsi.DataIn{ITT: command.ITT, Final: true, HasStatus: true}, filled(1000))

		over := newCall(scsi.InquiryCDB(255), nil, make([]byte, 16))
		s.Submit(&over.Task)
		command, _ = p.command()
		p.dataIn(iscsi.DataIn{ITT: command.ITT, Final: true, HasStatus: true, Overflow: true, Residual: 80}, filled(16))
		synctest.Wait()
		require.Equal(t, int64(10000-4096), write.Residual)
		require.Equal(t, int64(24), read.Residual)
		require.Equal(t, 1000, read.Received)
		require.Equal(t, int64(-80), over.Residual)
	})
}

// A target may answer a write while it is still being sent. Until the writer has let go of the data
// it is not the submitter's.
func TestSession_earlyAnswerWaitsForTheWriter(t *testing.T) {
	withSession(t, "InitialR2T=No FirstBurstLength=65536 MaxRecvDataSegmentLength=65536", nil,
		func(p *peer, s *Session, _ *down) {
			c := newCall(scsi.Write16CDB(0, 1, false), filled(65536), nil)
			s.Submit(&c.Task)
			var h iscsi.BHS
			_, err := p.in.Next(&h) // takes a part of the data off the pipe, not all
			require.NoError(t, err)
			p.expCmd++
			p.respond(h.ITT(), scsi.CheckCondition, scsi.Sense{Key: scsi.DataProtect, ASC: 0x27})
			synctest.Wait()
			require.Zero(t, c.done)
			data := make([]byte, h.DataLen())
			require.NoError(t, p.in.ReadData(data))
			require.Equal(t, filled(65536), data)
			synctest.Wait()
			require.Equal(t, 1, c.done)
			require.ErrorIs(t, c.Result(), block.ErrReadOnly)
		})
}

func TestSession_lost(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, d *down) {
		var order []int
		tasks := make([]*Task, 5)
		for i := range tasks {
			tasks[i] = &Task{CDB: scsi.TestUnitReadyCDB(), Done: func(*Task) {
				require.Empty(t, d.errs, "OnDown comes after the last completion")
				order = append(order, i)
			}}
			s.Submit(tasks[i])
		}
		answered, _ := p.command()
		p.respond(answered.ITT, scsi.Good, scsi.Sense{})
		p.command() // the others are sent, on their way, or not even that
		var pinged error
		s.Ping(func(err error) { pinged = err })
		_ = p.conn.Close()
		<-s.Ended()
		require.Equal(t, []int{0, 1, 2, 3, 4}, order, "each once, in the order of submission")
		require.NoError(t, tasks[0].Err)
		for _, task := range tasks[1:] {
			require.ErrorIs(t, task.Err, block.ErrUnreachable)
			require.NotErrorIs(t, task.Err, block.ErrFenced)
		}
		require.ErrorIs(t, pinged, block.ErrUnreachable)
		require.Len(t, d.errs, 1)
		require.ErrorIs(t, d.errs[0], block.ErrUnreachable)

		late := newCall(scsi.TestUnitReadyCDB(), nil, nil)
		s.Submit(&late.Task)
		require.Equal(t, 1, late.done, "after the end a task completes at once")
		require.ErrorIs(t, late.Err, block.ErrUnreachable)
	})
}

// A second answer to a command that is over must not be taken for that of the command which came after
// it, whatever tag that has.
func TestSession_lateDuplicateAnswersNobody(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, _ *down) {
		first, second := newCall(scsi.TestUnitReadyCDB(), nil, nil), newCall(scsi.TestUnitReadyCDB(), nil, nil)
		s.Submit(&first.Task)
		command, _ := p.command()
		p.respond(command.ITT, scsi.Good, scsi.Sense{})
		synctest.Wait()
		require.Equal(t, 1, first.done)
		s.Submit(&second.Task)
		p.command()
		p.respond(command.ITT, scsi.Good, scsi.Sense{})
		<-s.Ended()
		require.Equal(t, 1, first.done)
		require.Equal(t, 1, second.done)
		require.ErrorIs(t, second.Err, block.ErrUnreachable)
	})
}

func TestSession_completionsMaySubmit(t *testing.T) {
	withSession(t, "", func(o *Options) { o.QueueDepth = 2 }, func(p *peer, s *Session, _ *down) {
		left := 20
		for range 2 {
			again := &Task{CDB: scsi.TestUnitReadyCDB()}
			again.Done = func(*Task) {
				if left--; left > 0 {
					s.Submit(again)
				}
			}
			s.Submit(again)
		}
		for range 21 {
			c, _ := p.command()
			p.respond(c.ITT, scsi.Good, scsi.Sense{})
		}
		synctest.Wait()
		require.LessOrEqual(t, left, 0)
	})
}

func TestSession_deadline(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, d *down) {
		start := time.Now()
		oldest := newCall(scsi.TestUnitReadyCDB(), nil, nil)
		s.Submit(&oldest.Task)
		p.command()
		for range 4 { // that others are answered does not help
			time.Sleep(time.Second)
			c := newCall(scsi.TestUnitReadyCDB(), nil, nil)
			s.Submit(&c.Task)
			command, _ := p.command()
			p.respond(command.ITT, scsi.Good, scsi.Sense{})
			synctest.Wait()
			require.Equal(t, 1, c.done)
		}
		<-s.Ended()
		require.Equal(t, testOptions().Deadline, time.Since(start))
		require.ErrorIs(t, oldest.Err, block.ErrUnreachable)
		require.ErrorContains(t, d.errs[0], "no answer within 5s")
	})
}

func TestSession_deadlineOfASilentPeer(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, d *down) {
		// Nothing takes the bytes off the pipe: the writer hangs, and the session must end all the same.
		time.Sleep(time.Hour) // an idle session lives on
		start := time.Now()
		c := newCall(scsi.Write16CDB(0, 1, false), filled(65536), nil)
		s.Submit(&c.Task)
		<-s.Ended()
		require.Equal(t, testOptions().Deadline, time.Since(start))
		require.Equal(t, 1, c.done)
	})
}

// A queue longer than the deadline is no reason to give up, as long as answers come.
func TestSession_deadlineIsNotOfTheQueue(t *testing.T) {
	withSession(t, "", func(o *Options) { o.QueueDepth = 1 }, func(p *peer, s *Session, _ *down) {
		var calls []*call
		for range 10 {
			c := newCall(scsi.TestUnitReadyCDB(), nil, nil)
			s.Submit(&c.Task)
			calls = append(calls, c)
		}
		for range calls {
			command, _ := p.command()
			time.Sleep(testOptions().Deadline - 1)
			p.respond(command.ITT, scsi.Good, scsi.Sense{})
		}
		synctest.Wait()
		for _, c := range calls {
			require.NoError(t, c.Result())
		}
	})
}

func TestSession_windowOfTheTarget(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, _ *down) {
		for range 64 { // what the login granted
			s.Submit(&newCall(scsi.TestUnitReadyCDB(), nil, nil).Task)
		}
		held := newCall(scsi.TestUnitReadyCDB(), nil, nil)
		s.Submit(&held.Task)
		var tags []uint32
		for range 64 {
			c, _ := p.command()
			tags = append(tags, c.ITT)
		}
		// A ping is not held up, and its answer opens the window by one.
		var pinged error = errTest
		s.Ping(func(err error) { pinged = err })
		ping := p.next(iscsi.OpNOPOut)
		require.True(t, ping.Immediate())
		require.Equal(t, p.expCmd, ping.CmdSN(), "and takes no CmdSN")
		p.send(&iscsi.NOPIn{ITT: ping.ITT(), TTT: iscsi.ReservedTag, StatSN: p.statSN,
			ExpCmdSN: p.expCmd, MaxCmdSN: p.expCmd}, nil)
		p.statSN++
		p.command()
		synctest.Wait()
		require.NoError(t, pinged)
		for _, itt := range tags {
			p.respond(itt, scsi.Good, scsi.Sense{})
		}
	})
}

func TestSession_queueDepth(t *testing.T) {
	withSession(t, "", func(o *Options) { o.QueueDepth = 3 }, func(p *peer, s *Session, _ *down) {
		for range 4 {
			s.Submit(&newCall(scsi.TestUnitReadyCDB(), nil, nil).Task)
		}
		var last iscsi.SCSICommand
		for range 3 {
			last, _ = p.command()
		}
		require.NoError(t, p.conn.SetReadDeadline(time.Now().Add(time.Second)))
		var h iscsi.BHS
		_, err := p.in.Next(&h)
		require.Error(t, err, "a fourth command is at the target")
		require.NoError(t, p.conn.SetReadDeadline(time.Time{}))
		p.respond(last.ITT, scsi.Good, scsi.Sense{})
		p.command()
	})
}

func TestSession_answersPings(t *testing.T) {
	withSession(t, "", nil, func(p *peer, _ *Session, _ *down) {
		p.send(&iscsi.NOPIn{LUN: 3, ITT: iscsi.ReservedTag, TTT: 77, StatSN: p.statSN,
			ExpCmdSN: p.expCmd, MaxCmdSN: p.expCmd + 63}, filled(20))
		got := p.next(iscsi.OpNOPOut)
		nop, err := iscsi.ParseNOPOut(&got.BHS)
		require.NoError(t, err)
		require.Equal(t, iscsi.NOPOut{Immediate: true, LUN: 3, ITT: iscsi.ReservedTag, TTT: 77,
			CmdSN: p.expCmd, ExpStatSN: p.statSN}, nop)
		p.send(&iscsi.NOPIn{ITT: iscsi.ReservedTag, TTT: iscsi.ReservedTag, StatSN: p.statSN}, nil)
	})
}

func TestSession_targetBreaksTheProtocol(t *testing.T) {
	for name, script := range map[string]func(p *peer, itt uint32){
		"unknown task":  func(p *peer, itt uint32) { p.respond(itt+1<<16, scsi.Good, scsi.Sense{}) },
		"unknown slot":  func(p *peer, itt uint32) { p.respond(itt+9, scsi.Good, scsi.Sense{}) },
		"reserved task": func(p *peer, _ uint32) { p.respond(iscsi.ReservedTag, scsi.Good, scsi.Sense{}) },
		"data out of order": func(p *peer, itt uint32) {
			p.dataIn(iscsi.DataIn{ITT: itt, BufferOffset: 512}, filled(512))
		},
		"too much data": func(p *peer, itt uint32) { p.dataIn(iscsi.DataIn{ITT: itt}, filled(1025)) },
		"R2T for a read": func(p *peer, itt uint32) {
			p.send(&iscsi.R2T{ITT: itt, DesiredDataTransferLength: 512}, nil)
		},
		"R2T for nothing":    func(p *peer, itt uint32) { p.send(&iscsi.R2T{ITT: itt}, nil) },
		"ping never sent":    func(p *peer, itt uint32) { p.send(&iscsi.NOPIn{ITT: itt}, nil) },
		"logout never asked": func(p *peer, itt uint32) { p.send(&iscsi.LogoutResponse{ITT: itt}, nil) },
		"reject": func(p *peer, _ uint32) {
			p.send(&iscsi.Reject{Reason: iscsi.RejectProtocolError}, make([]byte, 48))
		},
		"asks to log out": func(p *peer, _ uint32) { p.send(&iscsi.Async{Event: iscsi.AsyncLogoutRequest}, nil) },
		"a request":       func(p *peer, _ uint32) { p.send(&iscsi.NOPOut{ITT: 1}, nil) },
		"sense too long": func(p *peer, itt uint32) {
			p.send(&iscsi.SCSIResponse{ITT: itt}, filled(maxSenseBytes+1))
		},
		"sense cut short": func(p *peer, itt uint32) {
			p.send(&iscsi.SCSIResponse{ITT: itt, Status: 2}, []byte{0, 18, 0x70})
		},
		"endless pings": func(p *peer, _ uint32) {
			var b iscsi.Batch
			for range maxOrders + 10 {
				var h iscsi.BHS
				(&iscsi.NOPIn{ITT: iscsi.ReservedTag, TTT: 5}).Encode(&h)
				b.Append(&h, nil)
			}
			_, _ = b.WriteTo(p.conn) // the initiator hangs up in the middle
		},
	} {
		t.Run(name, func(t *testing.T) {
			withSession(t, "", nil, func(p *peer, s *Session, d *down) {
				c := newCall(scsi.Read16CDB(0, 2), nil, make([]byte, 1024))
				s.Submit(&c.Task)
				command, _ := p.command()
				script(p, command.ITT)
				<-s.Ended()
				require.Equal(t, 1, c.done)
				require.ErrorIs(t, c.Err, block.ErrUnreachable)
			})
		})
	}
}

func TestSession_R2TOutOfBounds(t *testing.T) {
	for _, r2t := range []iscsi.R2T{
		{BufferOffset: 512, DesiredDataTransferLength: 512},      // not in order
		{BufferOffset: 0, DesiredDataTransferLength: 8193},       // beyond the data
		{BufferOffset: 0, DesiredDataTransferLength: 4097},       // beyond MaxBurstLength
		{BufferOffset: 1 << 31, DesiredDataTransferLength: 4096}, // far beyond
	} {
		withSession(t, "InitialR2T=Yes ImmediateData=No MaxBurstLength=4096", nil, func(p *peer, s *Session, _ *down) {
			c := newCall(scsi.Write16CDB(0, 1, false), filled(8192), nil)
			s.Submit(&c.Task)
			command, _ := p.command()
			r2t.ITT = command.ITT
			p.send(&r2t, nil)
			<-s.Ended()
			require.ErrorIs(t, c.Err, block.ErrUnreachable)
		})
	}
}

func TestSession_dataDigestMismatchEndsIt(t *testing.T) {
	digests := func(o *Options) { o.DataDigest = true }
	withSession(t, "DataDigest=CRC32C", digests, func(p *peer, s *Session, _ *down) {
		p.setDigests(s.Params().Digests)
		c := newCall(scsi.Read16CDB(0, 1), nil, make([]byte, 512))
		s.Submit(&c.Task)
		command, _ := p.command()
		var h iscsi.BHS
		var b iscsi.Batch
		b.SetDigests(iscsi.Digests{Data: true})
		(&iscsi.DataIn{ITT: command.ITT, HasStatus: true, Final: true, StatSN: p.statSN}).Encode(&h)
		b.Append(&h, filled(512))
		var wire bytes.Buffer
		_, err := b.WriteTo(&wire)
		require.NoError(t, err)
		wire.Bytes()[iscsi.HeaderLen+100] ^= 1
		_, err = p.conn.Write(wire.Bytes())
		require.NoError(t, err)
		<-s.Ended()
		require.ErrorIs(t, c.Err, block.ErrUnreachable, "corrupt data never completes a read")
	})
}

func TestSession_logout(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, d *down) {
		left := newCall(scsi.TestUnitReadyCDB(), nil, nil)
		s.Submit(&left.Task)
		p.command()
		result := make(chan error, 1)
		go func() { result <- s.Logout(p.t.Context()) }()
		got := p.next(iscsi.OpLogoutRequest)
		logout, err := iscsi.ParseLogoutRequest(&got.BHS)
		require.NoError(t, err)
		require.Equal(t, iscsi.CloseSession, logout.Reason)
		p.send(&iscsi.LogoutResponse{ITT: logout.ITT, StatSN: p.statSN}, nil)
		require.NoError(t, <-result)
		require.ErrorIs(t, d.errs[0], ErrLoggedOut)
		require.ErrorIs(t, left.Err, block.ErrUnreachable)
		p.ends()
	})
}

func TestSession_logoutUnanswered(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, d *down) {
		ctx, cancel := context.WithTimeout(p.t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.Logout(ctx), context.DeadlineExceeded)
		require.NotErrorIs(t, d.errs[0], ErrLoggedOut)
	})
}

func TestExecute(t *testing.T) {
	withSession(t, "", nil, func(p *peer, s *Session, _ *down) {
		type outcome struct {
			n   int
			err error
		}
		results := make(chan outcome, 1)
		in := make([]byte, 16)
		run := func(ctx context.Context, out []byte) {
			n, err := s.Execute(ctx, 0, scsi.CDB{0xc0}, out, in)
			results <- outcome{n, err}
		}
		go run(p.t.Context(), nil)
		c, _ := p.command() // a unit attention is not the answer
		p.respond(c.ITT, scsi.CheckCondition, scsi.Sense{Key: scsi.UnitAttention, ASC: 0x29})
		c, _ = p.command()
		p.dataIn(iscsi.DataIn{ITT: c.ITT, HasStatus: true, Final: true, Underflow: true, Residual: 6},
			[]byte("0123456789"))
		require.Equal(t, outcome{10, nil}, <-results)
		require.Equal(t, "0123456789", string(in[:10]))

		go run(context.Background(), nil)
		for range maxTries { // but one that does not end is
			c, _ = p.command()
			p.respond(c.ITT, scsi.CheckCondition, scsi.Sense{Key: scsi.UnitAttention, ASC: 0x29})
		}
		require.ErrorIs(t, (<-results).err, block.ErrFailed)

		clear(in)
		ctx, cancel := context.WithCancel(p.t.Context())
		go run(ctx, nil)
		c, _ = p.command()
		cancel()
		require.ErrorIs(t, (<-results).err, context.Canceled)
		p.dataIn(iscsi.DataIn{ITT: c.ITT, HasStatus: true, Final: true}, filled(16))
		synctest.Wait()
		require.Equal(t, make([]byte, 16), in, "a late answer does not reach the caller's buffer")

		_, err := s.Execute(context.Background(), 0, scsi.CDB{0xc0}, make([]byte, 1), in)
		require.ErrorIs(t, err, block.ErrUnsupported)
	})
}

func TestDownError_isNeverAFence(t *testing.T) {
	err := error(&downError{target: "x", reason: errors.Join(block.ErrFenced, ErrAborted, block.ErrFailed)})
	require.ErrorIs(t, err, block.ErrUnreachable)
	require.ErrorIs(t, err, ErrAborted)
	require.NotErrorIs(t, err, block.ErrFenced)
	require.NotErrorIs(t, err, block.ErrFailed)
}
