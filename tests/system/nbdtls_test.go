package system

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/export/nbd"
)

// TestNBDTLS_foreignGuestsUseTheDisk attaches a volume that other machines reach, and has libnbd's tools and QEMU use
// it with the credential that the command line makes, and fail with whatever else they have.
func TestNBDTLS_foreignGuestsUseTheDisk(t *testing.T) {
	need(t, "nbdinfo", "nbdcopy", "qemu-img", "qemu-io")
	c := up(t, 3)
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.ok("volume", "create", "other", "--size", "16M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.ok("volume", "export", "disk", "--nbd-tls", freePort(t))
	dir := c.credential("disk")
	near := c.attach("disk", "n3")
	far, _ := c.offeredTLS("disk")
	info := run(t, time.Minute, nil, "nbdinfo", far+"?tls-certificates="+dir)
	require.Contains(t, info.stdout, "with TLS", info.stderr)
	require.Contains(t, info.stdout, "can_multi_conn: true")

	qemuIOTLS(t, far, dir, pattern("write", 7, 64), "write -P 9 1M 9M", "write -f -P 8 12M 64k", "flush",
		"discard 2M 1M", "write -z 4M 64k", pattern("read", 7, 64))
	qemuIO(t, near, pattern("read", 7, 64), "read -P 9 5M 5M", "read -P 8 12M 64k", "read -P 0 2M 1M",
		"write -P 5 20M 1M")
	qemuIOTLS(t, far, dir, "read -P 5 20M 1M")
	image := filepath.Join(c.dir, "image")
	copied := run(t, time.Minute, nil, "nbdcopy", "--connections=4", far+"?tls-certificates="+dir, image)
	require.Zero(t, copied.code, copied.stderr)
	compared := run(t, time.Minute, nil, "qemu-img", "compare", "-f", "raw", "-F", "raw", image, near)
	require.Zero(t, compared.code, compared.stdout+compared.stderr)

	refused := func(why, dir string) {
		t.Helper()
		require.NotZero(t, run(t, time.Minute, nil, "nbdinfo", far+"?tls-certificates="+dir).code, why)
		require.NotZero(t, runQemuIOTLS(t, far, dir, "read 0 512").code, why)
	}
	refused("another volume's credential", c.credential("other"))
	refused("one that the guest made itself", selfSigned(t, dir))
	require.NotZero(t, run(t, time.Minute, nil, "nbdinfo", strings.Replace(far, "nbds:", "nbd:", 1)).code, "no TLS")

	d := dial(t, far+"?tls-certificates="+dir)
	c.ok("volume", "credential", "disk", "--revoke-all")
	c.eventually(time.Minute, "who is connected is cut off", func() bool { return d.Flush(t.Context()) != nil })
	refused("a credential that was taken back", dir)
	qemuIO(t, near, "read -P 5 20M 1M")
	c.ok("volume", "credential", "disk", "--out", dir)
	c.eventually(time.Minute, "the next one is good", func() bool {
		return runQemuIOTLS(t, far, dir, "read -P 5 20M 1M").code == 0
	})
}

// TestNBDTLS_theGuestsDeviceStaysAndDoesNotMove ends the engine again and again, and the daemon once, under a guest
// that connects again by the bound name: it loses nothing. Once another host has the volume that name is refused.
func TestNBDTLS_theGuestsDeviceStaysAndDoesNotMove(t *testing.T) {
	c := up(t, 3)
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.ok("volume", "export", "disk", "--nbd-tls", freePort(t))
	dir := c.credential("disk")
	c.attach("disk", "n3")
	_, bound := c.offeredTLS("disk")
	address, err := nbd.ParseURL(bound + "?tls-certificates=" + dir)
	require.NoError(t, err)
	disk, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{Reconnect: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { _ = disk.Close() }) // it has lost its server by then
	block, beats := make([]byte, 4096), uint64(0)
	beat := func() {
		t.Helper()
		require.NoError(t, disk.Read(t.Context(), block, 1<<20))
		require.Equal(t, beats, binary.LittleEndian.Uint64(block), "what was flushed before the engine died is gone")
		beats++
		binary.LittleEndian.PutUint64(block, beats)
		require.NoError(t, disk.Write(t.Context(), block, 1<<20, 0))
		require.NoError(t, disk.Flush(t.Context()))
	}
	beat()
	for range rounds(t, 3) {
		before := c.endEngine("disk")
		beat()
		c.eventually(time.Minute, "the new engine is known", func() bool {
			a := c.volume("disk").Attachment
			return a != nil && a.EnginePID != 0 && a.EnginePID != before.Attachment.EnginePID
		})
		_, again := c.offeredTLS("disk")
		require.Equal(t, bound, again)
	}
	c.node("stop", "n3")
	c.node("start", "n3")
	c.endEngine("disk")
	beat()

	c.attach("disk", "n1", "--takeover")
	c.eventually(time.Minute, "another bound name", func() bool {
		_, moved := c.offeredTLS("disk")
		return moved != bound
	})
	_, err = nbd.Dial(t.Context(), address, nbd.ClientOptions{})
	require.ErrorContains(t, err, `the export's name is "disk"`)
	plain, _ := c.offeredTLS("disk")
	d := dial(t, plain+"?tls-certificates="+dir)
	require.NoError(t, d.Read(t.Context(), block, 1<<20))
	require.Equal(t, beats, binary.LittleEndian.Uint64(block), "the same credential opens it there")
}

// credential makes a credential of a volume and returns its directory.
func (c *cluster) credential(name string) string {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), name)
	c.ok("volume", "credential", name, "--out", dir, "--days", "1")
	return dir
}

// offeredTLS waits until other machines can reach the volume, and returns its URL and the bound one.
func (c *cluster) offeredTLS(name string) (plain, bound string) {
	c.t.Helper()
	c.eventually(time.Minute, "an offer of NBD with TLS", func() bool {
		var v struct {
			Attachment *struct {
				Exports []struct {
					Type, URL string
					BoundURL  string `json:"bound_url"`
				}
			}
		}
		c.object(&v, "volume", "show", name)
		if v.Attachment == nil {
			return false
		}
		for _, e := range v.Attachment.Exports {
			if e.Type == "nbd-tls" {
				plain, bound = e.URL, e.BoundURL
			}
		}
		return bound != ""
	})
	return plain, bound
}

func qemuIOTLS(t *testing.T, url, dir string, commands ...string) {
	t.Helper()
	r := runQemuIOTLS(t, url, dir, commands...)
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.NotContains(t, r.stdout, "failed")
}

func runQemuIOTLS(t *testing.T, url, dir string, commands ...string) result {
	t.Helper()
	a, err := nbd.ParseURL(url)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(a.Host)
	require.NoError(t, err)
	args := []string{"--object", "tls-creds-x509,id=tls,endpoint=client,dir=" + dir}
	for _, command := range commands {
		args = append(args, "-c", command)
	}
	args = append(args, "--image-opts", fmt.Sprintf("driver=raw,file.driver=nbd,file.server.type=inet,"+
		"file.server.host=%s,file.server.port=%s,file.export=%s,file.tls-creds=tls", host, port, a.Name))
	return run(t, time.Minute, nil, "qemu-io", args...)
}

// selfSigned returns a directory with the cluster's CA and the names of a good credential in a certificate that its
// holder has signed.
func selfSigned(t *testing.T, good string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(good, nbd.FileCert))
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "me"}, URIs: cert.URIs,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, KeyUsage: cert.KeyUsage, ExtKeyUsage: cert.ExtKeyUsage}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	ca, err := os.ReadFile(filepath.Join(good, nbd.FileCA))
	require.NoError(t, err)
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		nbd.FileCA:   ca,
		nbd.FileCert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		nbd.FileKey:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}
