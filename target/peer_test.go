package target

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block/memdev"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

const (
	testTarget    = "iqn.2026-11.com.example:disk"
	testInitiator = "iqn.2026-11.com.example:host"
)

// pipeListener hands the server one end of each pipe that dial makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3260} }

// testAdmission admits everyone to testTarget unless told otherwise.
type testAdmission struct {
	creds  Credentials
	units  map[uint64]scsi.LogicalUnit
	keys   [][2]string
	refuse *Refusal // by Admit
	before func(Attempt)

	admitted atomic.Int64
	closed   atomic.Int64
	mu       sync.Mutex
	controls []SessionControl
}

func (a *testAdmission) Credentials(_ context.Context, at Attempt) (Credentials, error) {
	if at.TargetName != testTarget {
		return Credentials{}, refuse(iscsi.LoginNotFound, "no such target")
	}
	return a.creds, nil
}

func (a *testAdmission) Admit(_ context.Context, at Attempt, s SessionControl) (Grant, error) {
	if a.before != nil {
		a.before(at)
	}
	if a.refuse != nil {
		return Grant{}, a.refuse
	}
	a.admitted.Add(1)
	a.mu.Lock()
	a.controls = append(a.controls, s)
	a.mu.Unlock()
	return Grant{LUNs: a.units, TextKeys: a.keys, Closed: func() { a.closed.Add(1) }}, nil
}

func (a *testAdmission) Targets(string) []string { return []string{testTarget, testTarget + "2"} }

// gate is a unit whose commands with some opcode wait until they are let go.
type gate struct {
	*scsi.Disk
	opcode  byte
	entered chan struct{} // one token for each command that waits
	release chan struct{} // one token lets one go; closed lets all go
}

func (g *gate) Execute(ctx context.Context, cmd *scsi.Command, res *scsi.Response) {
	if cmd.CDB[0] == g.opcode {
		g.entered <- struct{}{}
		<-g.release
	}
	g.Disk.Execute(ctx, cmd, res)
}

func newGate(t testing.TB, opcode byte) *gate {
	return &gate{Disk: newDisk(t), opcode: opcode, entered: make(chan struct{}, 64),
		release: make(chan struct{}, 64)}
}

func newDisk(t testing.TB) *scsi.Disk {
	dev, err := memdev.New(memdev.Options{SizeBytes: 64 << 20})
	require.NoError(t, err)
	d, err := scsi.New(dev, scsi.Options{Serial: "t", NAA: scsi.LocalNAA([]byte("t")), Reservations: true})
	require.NoError(t, err)
	return d
}

// harness is a server with its listener.
type harness struct {
	t      testing.TB
	server *Server
	l      *pipeListener
	adm    *testAdmission
	served chan error
}

func newHarness(t testing.TB, adm *testAdmission, change func(*Options)) *harness {
	if adm.units == nil {
		adm.units = map[uint64]scsi.LogicalUnit{0: newDisk(t)}
	}
	o := Options{Admission: adm}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	require.NoError(t, err)
	h := &harness{t: t, server: s, adm: adm, served: make(chan error, 1),
		l: &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}}
	go func() { h.served <- s.Serve(h.l) }()
	return h
}

// stop shuts the server down and demands that every admitted session was closed once.
func (h *harness) stop() {
	require.NoError(h.t, h.server.Shutdown(context.Background()))
	require.NoError(h.t, <-h.served)
	require.Equal(h.t, h.adm.admitted.Load(), h.adm.closed.Load())
}

// peer is a scripted initiator.
type peer struct {
	t        testing.TB
	raw      net.Conn
	r        *iscsi.Reader
	digests  iscsi.Digests
	isid     iscsi.ISID
	cmdSN    iscsi.Serial
	itt      uint32
	expStat  iscsi.Serial
	maxCmdSN iscsi.Serial
}

// got is one PDU from the target.
type got struct {
	h    iscsi.BHS
	data []byte
}

func (h *harness) dial() *peer {
	near, far := net.Pipe()
	h.l.conns <- far
	return &peer{t: h.t, raw: near, r: iscsi.NewReader(near, 1<<16), isid: iscsi.ISID{0x80, 1}, cmdSN: 1}
}

type encoder interface{ Encode(*iscsi.BHS) }

func (p *peer) send(pdu encoder, data []byte) {
	var h iscsi.BHS
	pdu.Encode(&h)
	var b iscsi.Batch
	b.SetDigests(p.digests)
	b.Append(&h, data)
	_, err := b.WriteTo(p.raw)
	require.NoError(p.t, err)
}

func (p *peer) receive() got {
	var g got
	_, err := p.r.Next(&g.h)
	require.NoError(p.t, err)
	g.data = make([]byte, g.h.DataLen())
	require.NoError(p.t, p.r.ReadData(g.data))
	return g
}

// closed demands that the connection ends without a further PDU.
func (p *peer) closed() {
	var h iscsi.BHS
	_, err := p.r.Next(&h)
	require.True(p.t, err == io.EOF || errors.Is(err, io.ErrClosedPipe), "%v %x", err, h)
}

func kv(pairs ...string) (out []iscsi.KeyValue) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, iscsi.KeyValue{Key: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func names() []iscsi.KeyValue {
	return kv("InitiatorName", testInitiator, "TargetName", testTarget, "SessionType", "Normal")
}

// ask sends one Login Request and returns the answer.
func (p *peer) ask(
	transit bool, csg, nsg iscsi.Stage, pairs []iscsi.KeyValue,
) (iscsi.LoginResponse, []iscsi.KeyValue) {
	p.send(&iscsi.LoginRequest{Transit: transit, CSG: csg, NSG: nsg, ISID: p.isid, ITT: 1, CmdSN: p.cmdSN},
		iscsi.AppendText(nil, pairs...))
	g := p.receive()
	resp, err := iscsi.ParseLoginResponse(&g.h)
	require.NoError(p.t, err)
	answer, err := iscsi.ParseText(g.data)
	require.NoError(p.t, err)
	return resp, answer
}

// login logs in without authentication and with these operational keys.
func (p *peer) login(pairs ...string) *peer {
	resp, answer := p.ask(true, ops, ffp, append(names(), kv(pairs...)...))
	require.Equal(p.t, iscsi.LoginSuccess, resp.Status)
	require.True(p.t, resp.Transit)
	require.NotZero(p.t, resp.TSIH)
	for _, a := range answer {
		if a.Value == iscsi.DigestCRC32C {
			p.digests.Header = p.digests.Header || a.Key == iscsi.KeyHeaderDigest
			p.digests.Data = p.digests.Data || a.Key == iscsi.KeyDataDigest
		}
	}
	p.r.SetDigests(p.digests)
	p.r.SetMaxData(1 << 20)
	p.maxCmdSN = resp.MaxCmdSN
	return p
}

// command sends a SCSI Command with the next CmdSN and returns its task tag.
func (p *peer) command(cdb scsi.CDB, cmd iscsi.SCSICommand, data []byte) uint32 {
	p.itt++
	cmd.ITT, cmd.CmdSN, cmd.ExpStatSN = p.itt, p.cmdSN, p.expStat
	copy(cmd.CDB[:], cdb[:])
	p.cmdSN = p.cmdSN.Next()
	p.send(&cmd, data)
	return p.itt
}

func (p *peer) write(lba uint64, blocks uint32, final bool, immediate []byte) uint32 {
	return p.command(scsi.Write16CDB(lba, blocks, false),
		iscsi.SCSICommand{Write: true, Final: final, ExpectedDataTransferLength: blocks * 512}, immediate)
}

func (p *peer) read(lba uint64, blocks uint32) uint32 {
	return p.command(scsi.Read16CDB(lba, blocks),
		iscsi.SCSICommand{Read: true, Final: true, ExpectedDataTransferLength: blocks * 512}, nil)
}

func (p *peer) testUnitReady() uint32 {
	return p.command(scsi.TestUnitReadyCDB(), iscsi.SCSICommand{Final: true}, nil)
}

// ready takes the unit attention that a new nexus is told.
func (p *peer) ready() *peer {
	p.testUnitReady()
	require.Equal(p.t, scsi.CheckCondition, p.status(p.itt))
	return p
}

// status receives a SCSI Response to the task.
func (p *peer) status(itt uint32) scsi.Status {
	g := p.receive()
	resp, err := iscsi.ParseSCSIResponse(&g.h)
	require.NoError(p.t, err)
	require.Equal(p.t, itt, resp.ITT)
	p.maxCmdSN = resp.MaxCmdSN
	return scsi.Status(resp.Status)
}

// dataIn receives all data-in of a task that ends with GOOD status.
func (p *peer) dataIn(itt uint32) []byte {
	var all []byte
	for sn := iscsi.Serial(0); ; sn++ {
		g := p.receive()
		pdu, err := iscsi.ParseDataIn(&g.h)
		require.NoError(p.t, err)
		require.Equal(p.t, itt, pdu.ITT)
		require.Equal(p.t, sn, pdu.DataSN)
		require.EqualValues(p.t, len(all), pdu.BufferOffset)
		all = append(all, g.data...)
		if pdu.HasStatus {
			require.True(p.t, pdu.Final)
			require.Equal(p.t, byte(scsi.Good), pdu.Status)
			return all
		}
	}
}

// ping sends a NOP-Out and demands its answer, whatever else is going on.
func (p *peer) ping() {
	p.send(&iscsi.NOPOut{Immediate: true, ITT: 0x7777, TTT: iscsi.ReservedTag, CmdSN: p.cmdSN},
		[]byte("hello"))
	g := p.receive()
	pong, err := iscsi.ParseNOPIn(&g.h)
	require.NoError(p.t, err)
	require.EqualValues(p.t, 0x7777, pong.ITT)
	require.Equal(p.t, "hello", string(g.data))
}

func (g got) opcode() iscsi.Opcode { return g.h.Opcode() }
