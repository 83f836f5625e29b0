package raft

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// digest is the hash of a secret, or of a key, by a name.
func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// parseTrust reads the commands of the CA and of tokens. Times are minutes after at().
func (s *script) parseTrust(c *Command, name string, w *words) bool {
	minute := func(key string) time.Time { return at().Add(time.Duration(w.number(key)) * time.Minute) }
	switch name {
	case "authority": // NAME [hours=N]
		ca := w.next()
		c.SetAuthority = &SetAuthority{Cert: []byte(ca), Key: Secret("key of " + ca),
			Lifetime: time.Duration(w.number("hours")) * time.Hour}
	case "create_join": // ID SECRET [now=MIN] until=MIN
		c.CreateJoin = &CreateJoin{ID: w.next(), Hash: digest(w.next()), Now: minute("now"), Expires: minute("until")}
	case "join": // TOKEN NODE NAME [key=K] [proven] [replace] [now=MIN]
		c.UseJoin = &UseJoin{Proven: w.flag("proven"), Replace: w.flag("replace"), ID: w.next(), Node: s.node(w.next()),
			Name: w.next(), Key: digest(w.keys["key"]), Cert: []byte("certificate"), Now: minute("now")}
	case "revoke_join": // ID
		c.RevokeJoin = &RevokeJoin{ID: w.next()}
	case "create_token": // NAME ID SECRET ROLE [now=MIN] [until=MIN]
		c.CreateToken = &CreateToken{Name: w.next(), ID: w.next(), Hash: digest(w.next()), Role: AccessRole(w.next()),
			Now: minute("now")}
		if w.keys["until"] != "" {
			c.CreateToken.Expires = minute("until")
		}
	case "revoke_token": // NAME
		c.RevokeToken = &RevokeToken{Name: w.next()}
	default:
		return false
	}
	return true
}

func (s *script) showTokens(out io.Writer) {
	for _, j := range s.state.SortedJoins() {
		fmt.Fprintf(out, "join token %s until %s used=%t by=%s cert=%q\n", j.ID, j.Expires.Format("15:04"),
			!j.Used.IsZero(), j.Name, j.Cert)
	}
	for _, token := range s.state.SortedTokens() {
		fmt.Fprintf(out, "API token %s role=%s id=%s\n", token.Name, token.Role, token.ID)
	}
}

func TestSecret_isNotPrinted(t *testing.T) {
	key := Secret("hidden")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.Equal(t, "[secret]", fmt.Sprintf(verb, key))
		require.NotContains(t, fmt.Sprintf(verb, SetAuthority{Key: key}), "hidden")
		require.NotContains(t, fmt.Sprintf(verb, SetAuthority{Key: key}), "68696464656e")
	}
	require.JSONEq(t, `"aGlkZGVu"`, string(mustJSON(t, key)), "the log has it")
}
