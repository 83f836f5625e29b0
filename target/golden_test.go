package target

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// The transcripts in testdata/golden are what foreign initiators said to a target of this package and what it
// answered, a line for each PDU: "connect", or the direction (> of the initiator, < of the target), the connection,
// the PDU's bytes in hex with digests, and what it is. They are replayed: what the initiators said is sent again,
// and every answer has to be what it was.
//
// To record one, give a command that the transcript is to be of; URL in it becomes the LUN's, PORTAL the portal:
//
//	go test ./target -run TestGolden -golden.record NAME -golden.command 'iscsi-inq URL'
//
// An initiator in a guest of QEMU finds the portal under the address that the target tells if -golden.listen is
// 127.0.0.1:3260.
var (
	goldenRecord  = flag.String("golden.record", "", "record a transcript of this name")
	goldenCommand = flag.String("golden.command", "", "what to run")
	goldenListen  = flag.String("golden.listen", "127.0.0.1:0", "where to listen")
)

// goldenPortal is what the target calls its portal: the host, as a guest of QEMU reaches it.
func goldenPortal() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 2, 2), Port: 3260} }

// goldenServer returns a server that answers the same to the same.
func goldenServer(t *testing.T, l net.Listener) func() {
	h := newHarness(t, &testAdmission{}, func(o *Options) {
		o.Random = bytes.NewReader(make([]byte, 1<<16))
		o.Workers, o.FirstBurstBytes = 1, 64<<10
	})
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(l) }()
	return func() {
		h.stop()
		require.NoError(t, <-served)
	}
}

// goldenPDU is one line of a transcript.
type goldenPDU struct {
	conn    int
	sent    bool // by the target
	raw     []byte
	connect bool
}

func TestGolden(t *testing.T) {
	if *goldenRecord != "" {
		recordGolden(t)
		return
	}
	files, err := filepath.Glob("testdata/golden/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			replayGolden(t, readGolden(t, file))
		})
	}
}

func readGolden(t *testing.T, file string) []goldenPDU {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var pdus []goldenPDU
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		p := goldenPDU{sent: fields[0] == "<", connect: fields[0] == "connect"}
		_, err := fmt.Sscan(fields[1], &p.conn)
		require.NoError(t, err)
		if !p.connect {
			p.raw, err = hex.DecodeString(fields[2])
			require.NoError(t, err)
		}
		pdus = append(pdus, p)
	}
	require.NoError(t, lines.Err())
	return pdus
}

// answers are the target's PDUs on one connection, by task: tasks that are under way together may be answered in
// any order.
type answers map[uint32][]string

// add normalises a PDU: StatSN and the command window depend on what else was under way.
func (a answers) add(t *testing.T, raw []byte, d iscsi.Digests) {
	r := iscsi.NewReader(bytes.NewReader(raw), 1<<16)
	r.SetDigests(d)
	r.SetMaxData(1 << 24)
	var h iscsi.BHS
	_, err := r.Next(&h)
	require.NoError(t, err)
	data := make([]byte, h.DataLen())
	require.NoError(t, r.ReadData(data))
	h.SetStatSN(0)
	h.SetWindow(0, 0)
	a[h.ITT()] = append(a[h.ITT()], fmt.Sprintf("%s %x %x", h.Opcode(), h, data))
}

// replayGolden sends what the initiators sent, each PDU once as many answers have come as had then.
func replayGolden(t *testing.T, pdus []goldenPDU) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stop := goldenServer(t, &goldenListener{Listener: l})
	conns := map[int]*goldenConn{}
	for _, p := range pdus {
		c := conns[p.conn]
		switch {
		case p.connect:
			raw, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			require.NoError(t, raw.SetDeadline(time.Now().Add(time.Minute)))
			conns[p.conn] = &goldenConn{raw: raw, want: answers{}, got: answers{}}
		case p.sent:
			c.want.add(t, p.raw, c.digests)
			c.owed++
			c.notice(p.raw)
		default:
			for _, other := range conns { // one session may depend on what another was answered
				other.collect(t)
			}
			_, err := c.raw.Write(p.raw)
			require.NoError(t, err)
		}
	}
	for n, c := range conns {
		c.collect(t)
		for itt, want := range c.want {
			require.Equalf(t, want, c.got[itt], "connection %d, task %#x", n, itt)
		}
		require.Len(t, c.got, len(c.want))
		c.raw.Close()
	}
	stop()
}

// goldenConn is one connection of a replay.
type goldenConn struct {
	raw       net.Conn
	want, got answers
	owed      int           // answers that are still to come
	digests   iscsi.Digests // of answers from now on
	receives  iscsi.Digests // of what is still to come
}

// collect receives what is owed.
func (c *goldenConn) collect(t *testing.T) {
	for ; c.owed > 0; c.owed-- {
		raw, err := readPDU(c.raw, c.receives)
		require.NoError(t, err)
		c.got.add(t, raw, c.receives)
		if d, begins := digestsOf(raw); begins {
			c.receives = d
		}
	}
}

func (c *goldenConn) notice(raw []byte) {
	if d, begins := digestsOf(raw); begins {
		c.digests = d
	}
}

// digestsOf reports whether a PDU is the Login Response that begins the full feature phase, and with which digests:
// those are settled there or in a response before it, so transcripts settle them there.
func digestsOf(raw []byte) (d iscsi.Digests, begins bool) {
	if iscsi.Opcode(raw[0]&0x3f) != iscsi.OpLoginResponse || raw[1]&0x83 != 0x83 || raw[36] != 0 {
		return d, false
	}
	d.Header = bytes.Contains(raw, []byte("HeaderDigest=CRC32C"))
	d.Data = bytes.Contains(raw, []byte("DataDigest=CRC32C"))
	return d, true
}

// readPDU reads the bytes of one PDU.
func readPDU(r io.Reader, d iscsi.Digests) ([]byte, error) {
	raw := make([]byte, iscsi.HeaderLen)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	rest := restOf(raw, d)
	raw = append(raw, make([]byte, rest)...)
	_, err := io.ReadFull(r, raw[iscsi.HeaderLen:])
	return raw, err
}

// restOf returns how many bytes of a PDU follow its header.
func restOf(raw []byte, d iscsi.Digests) int {
	h := iscsi.BHS(raw)
	rest := h.AHSLen()
	if d.Header {
		rest += iscsi.DigestLen
	}
	if n := h.DataLen(); n > 0 {
		rest += (n + 3) / 4 * 4
		if d.Data {
			rest += iscsi.DigestLen
		}
	}
	return rest
}

// goldenListener gives its connections the address of goldenPortal, and lets a recorder see what they carry.
type goldenListener struct {
	net.Listener
	recorder *recorder // nil: nobody
}

func (l *goldenListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &atGoldenPortal{Conn: raw, recorder: l.recorder}
	if l.recorder != nil {
		c.number = l.recorder.connect()
	}
	return c, nil
}

func (l *goldenListener) Addr() net.Addr { return goldenPortal() }

type atGoldenPortal struct {
	net.Conn
	recorder *recorder
	number   int
}

func (c *atGoldenPortal) LocalAddr() net.Addr { return goldenPortal() }

func (c *atGoldenPortal) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.recorder != nil && n > 0 {
		c.recorder.took(c.number, false, p[:n])
	}
	return n, err
}

func (c *atGoldenPortal) Write(p []byte) (int, error) {
	if c.recorder != nil {
		c.recorder.took(c.number, true, p)
	}
	return c.Conn.Write(p)
}

// recorder puts the bytes of both directions of every connection together to PDUs.
type recorder struct {
	mu      sync.Mutex
	out     bytes.Buffer
	partial [][2][]byte
	digests []iscsi.Digests
}

func (r *recorder) connect() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.partial = append(r.partial, [2][]byte{})
	r.digests = append(r.digests, iscsi.Digests{})
	fmt.Fprintf(&r.out, "connect %d\n", len(r.partial)-1)
	return len(r.partial) - 1
}

func (r *recorder) took(conn int, sent bool, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	side, arrow := 0, ">"
	if sent {
		side, arrow = 1, "<"
	}
	buf := append(r.partial[conn][side], p...)
	for len(buf) >= iscsi.HeaderLen {
		n := iscsi.HeaderLen + restOf(buf, r.digests[conn])
		if len(buf) < n {
			break
		}
		h := iscsi.BHS(buf)
		fmt.Fprintf(&r.out, "%s %d %x %s\n", arrow, conn, buf[:n], h.Describe())
		if d, begins := digestsOf(buf[:n]); sent && begins {
			r.digests[conn] = d
		}
		buf = buf[n:]
	}
	r.partial[conn][side] = buf
}

func recordGolden(t *testing.T) {
	l, err := net.Listen("tcp", *goldenListen)
	require.NoError(t, err)
	r := &recorder{}
	fmt.Fprintf(&r.out, "# %s\n", *goldenRecord)
	stop := goldenServer(t, &goldenListener{Listener: l, recorder: r})
	portal := l.Addr().String()
	url := "iscsi://" + portal + "/" + testTarget + "/0"
	command := strings.NewReplacer("URL", url, "PORTAL", portal).Replace(*goldenCommand)
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	t.Logf("%s: %v\n%s", command, err, out)
	stop()
	require.NoError(t, os.MkdirAll("testdata/golden", 0o755))
	require.NoError(t, os.WriteFile("testdata/golden/"+*goldenRecord+".txt", r.out.Bytes(), 0o644))
}
