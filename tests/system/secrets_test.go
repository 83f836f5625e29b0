package system

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// secrets are texts that nobody may see, by what they are. Each has every form that a program may print.
type secrets map[string][][]byte

// add notes a secret of raw bytes.
func (s secrets) add(what string, raw []byte) {
	s[what] = append(s[what], raw, []byte(hex.EncodeToString(raw)),
		[]byte(base64.RawStdEncoding.EncodeToString(raw)), []byte(base64.RawURLEncoding.EncodeToString(raw)),
		[]byte(strings.Trim(fmt.Sprint(raw), "[]")))
}

// addText notes a secret that is printed as it is, and what stands for the secret part of a token.
func (s secrets) addText(what, text string) {
	s[what] = append(s[what], []byte(text), []byte(text[len(text)/2:]))
}

// addKey notes a private key (PKCS #8, DER): the lines of its file, and its number.
func (s secrets) addKey(t *testing.T, what string, der []byte) {
	t.Helper()
	for _, line := range strings.Fields(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))) {
		if len(line) == 64 {
			s[what] = append(s[what], []byte(line))
		}
	}
	s.add(what, der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	require.NoError(t, err)
	number, err := parsed.(*ecdsa.PrivateKey).Bytes()
	require.NoError(t, err)
	s.add(what, number)
}

// addCluster notes what the coordinators know, as a backup has it: the CA's key, the keys of the nodes, and
// the secrets of all attachments that are or were, at every epoch up to now.
func (s secrets) addCluster(t *testing.T, backup string) {
	t.Helper()
	f, err := os.Open(backup)
	require.NoError(t, err)
	defer f.Close()
	_, state, err := raft.ReadBackup(f)
	require.NoError(t, err)
	require.NotNil(t, state.Authority)
	s.addKey(t, "the CA's key", state.Authority.Key)
	for _, v := range state.SortedVolumes() {
		attaches := []volume.AttachID{v.LastAttach}
		if v.Attach != nil {
			attaches = append(attaches, v.Attach.ID)
		}
		for _, l := range v.Legs {
			node := state.Nodes[l.Node]
			require.NotNil(t, node)
			s.add("CHAP key of "+node.Name, node.ChapKey[:])
			for e := range v.Epoch + 1 {
				for _, a := range attaches {
					text := volume.ChapSecret(node.ChapKey, state.Cluster.Incarnation, l.ID, e, a)
					s["a CHAP secret"] = append(s["a CHAP secret"], []byte(text))
				}
			}
		}
	}
}

// in returns what of the secrets is in a text.
func (s secrets) in(text []byte) []string {
	var found []string
	for what, forms := range s {
		for _, form := range forms {
			if bytes.Contains(text, form) {
				found = append(found, what)
				break
			}
		}
	}
	return found
}

// nowhere holds that nobody can see a secret: no log below the directories and no process of this test has
// one, and others than their owner read nothing there.
func (s secrets) nowhere(t *testing.T, processes []int, dirs ...string) {
	t.Helper()
	logs := 0
	var open []string
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				open = append(open, info.Mode().String()+" "+path)
			}
			if strings.HasSuffix(path, ".log") {
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				require.NotEmpty(t, text, path)
				require.Empty(t, s.in(text), path)
				logs++
			}
			return nil
		}))
	}
	require.Empty(t, open, "others than the owner may use these")
	require.GreaterOrEqual(t, logs, len(dirs)/2, "every machine has a log")
	require.NotEmpty(t, processes)
	for _, pid := range processes {
		for _, file := range []string{"cmdline", "environ"} {
			path := fmt.Sprintf("/proc/%d/%s", pid, file)
			if text, err := os.ReadFile(path); err == nil { // fails of one that has just ended
				require.Empty(t, s.in(text), path)
			}
		}
	}
}
