package initiator

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// peer is a scripted target at the other end of a pipe. A test tells it each step.
type peer struct {
	t      *testing.T
	conn   net.Conn
	in     *iscsi.Reader
	statSN iscsi.Serial
	window iscsi.Serial // how many commands past ExpCmdSN it takes
	expCmd iscsi.Serial

	digests iscsi.Digests // of what it sends
}

// pdu is one PDU as the peer received it.
type pdu struct {
	iscsi.BHS
	data []byte
}

func testOptions() Options {
	return Options{TargetName: "iqn.2026-11.com.example:disk", InitiatorName: "iqn.2026-11.com.example:host",
		ISID: iscsi.ISID{0x80, 0, 0, 0, 0, 7}, LoginTimeout: 10 * time.Second, Deadline: 5 * time.Second}
}

func newPeer(t *testing.T) (*peer, net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = theirs.Close() })
	p := &peer{t: t, conn: theirs, in: iscsi.NewReader(theirs, 1<<20), statSN: 100, window: 64, expCmd: firstCmdSN}
	p.in.SetMaxData(1 << 20)
	return p, ours
}

// next reads one PDU and wants it to be of this kind.
func (p *peer) next(want iscsi.Opcode) pdu {
	p.t.Helper()
	var h iscsi.BHS
	_, err := p.in.Next(&h)
	require.NoError(p.t, err)
	require.Equal(p.t, want, h.Opcode())
	data := make([]byte, h.DataLen())
	require.NoError(p.t, p.in.ReadData(data))
	return pdu{h, data}
}

// setDigests is called when the login is over.
func (p *peer) setDigests(d iscsi.Digests) {
	p.digests = d
	p.in.SetDigests(d)
}

// ends wants the connection to be closed, by whichever side.
func (p *peer) ends() {
	p.t.Helper()
	_, err := io.Copy(io.Discard, p.conn)
	if err != io.ErrClosedPipe {
		require.NoError(p.t, err)
	}
}

func (p *peer) send(encode interface{ Encode(*iscsi.BHS) }, data []byte) {
	p.t.Helper()
	var h iscsi.BHS
	var b iscsi.Batch
	encode.Encode(&h)
	b.SetDigests(p.digests)
	b.Append(&h, data)
	_, err := b.WriteTo(p.conn)
	require.NoError(p.t, err)
}

// loginText reads a Login Request and returns its header and keys.
func (p *peer) loginText() (iscsi.LoginRequest, map[string]string) {
	p.t.Helper()
	got := p.next(iscsi.OpLoginRequest)
	request, err := iscsi.ParseLoginRequest(&got.BHS)
	require.NoError(p.t, err)
	pairs, err := iscsi.ParseText(got.data)
	require.NoError(p.t, err)
	keys := map[string]string{}
	for _, pair := range pairs {
		keys[pair.Key] = pair.Value
	}
	return request, keys
}

// answer answers a Login Request with the transition it asks for and text like "A=1 B=2".
func (p *peer) answer(r iscsi.LoginRequest, text string) {
	p.t.Helper()
	p.loginResponse(iscsi.LoginResponse{Transit: r.Transit, CSG: r.CSG, NSG: r.NSG, ISID: r.ISID, ITT: r.ITT}, text)
}

func (p *peer) loginResponse(r iscsi.LoginResponse, text string) {
	p.t.Helper()
	r.StatSN, r.ExpCmdSN, r.MaxCmdSN = p.statSN, p.expCmd, p.expCmd+p.window-1
	p.statSN++
	if r.NSG == iscsi.FullFeaturePhase {
		r.TSIH = 1
	}
	p.send(&r, []byte(strings.Join(append(strings.Fields(text), ""), "\x00")))
}

// login accepts a login without authentication. operational answers the operational keys.
func (p *peer) login(operational string) {
	p.t.Helper()
	request, keys := p.loginText()
	require.Equal(p.t, testOptions().TargetName, keys["TargetName"])
	require.Equal(p.t, testOptions().InitiatorName, keys["InitiatorName"])
	require.Equal(p.t, testOptions().ISID, request.ISID)
	p.answer(request, "AuthMethod=None TargetPortalGroupTag=1")
	request, _ = p.loginText()
	p.answer(request, operational)
}

// command reads a SCSI Command.
func (p *peer) command() (iscsi.SCSICommand, []byte) {
	p.t.Helper()
	got := p.next(iscsi.OpSCSICommand)
	c, err := iscsi.ParseSCSICommand(&got.BHS)
	require.NoError(p.t, err)
	require.Equal(p.t, p.expCmd, c.CmdSN, "commands come in order")
	p.expCmd++
	return c, got.data
}

// respond answers a command with a status.
func (p *peer) respond(itt uint32, status scsi.Status, sense scsi.Sense) {
	p.t.Helper()
	r := iscsi.SCSIResponse{ITT: itt, Status: byte(status), StatSN: p.statSN,
		ExpCmdSN: p.expCmd, MaxCmdSN: p.expCmd + p.window - 1}
	p.statSN++
	var data []byte
	if status == scsi.CheckCondition {
		data = iscsi.AppendSense(nil, sense.AppendFixed(nil))
	}
	p.send(&r, data)
}

func (p *peer) dataIn(d iscsi.DataIn, data []byte) {
	p.t.Helper()
	d.TTT, d.ExpCmdSN, d.MaxCmdSN = iscsi.ReservedTag, p.expCmd, p.expCmd+p.window-1
	if d.HasStatus {
		d.StatSN = p.statSN
		p.statSN++
	}
	p.send(&d, data)
}

// down collects what OnDown is told, and how often.
type down struct{ errs []error }

func (d *down) note(err error) { d.errs = append(d.errs, err) }

// withSession runs a test in a bubble with a session that the scripted peer has accepted. The
// session must have ended, or is closed, by the end.
func withSession(t *testing.T, operational string, change func(*Options), run func(p *peer, s *Session, d *down)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		d := &down{}
		o := testOptions()
		o.OnDown = d.note
		if change != nil {
			change(&o)
		}
		logged := make(chan *Session)
		go func() {
			s, err := Login(t.Context(), conn, o)
			if err != nil {
				t.Error(err)
			}
			logged <- s
		}()
		p.login(operational)
		s := <-logged
		require.NotNil(t, s)
		run(p, s, d)
		s.Close()
		synctest.Wait()
		require.Len(t, d.errs, 1, "OnDown is called exactly once")
	})
}

// call is a task whose completion is counted.
type call struct {
	Task
	done int
}

func newCall(cdb scsi.CDB, out, in []byte) *call {
	c := &call{Task: Task{CDB: cdb, DataOut: out, DataIn: in}}
	c.Done = func(*Task) { c.done++ }
	return c
}

var errTest = errors.New("test")
