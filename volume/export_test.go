package volume

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExportSetting_check(t *testing.T) {
	good := ExportSetting{Kind: ExportISCSI, Address: "127.0.0.1:3260"}
	require.NoError(t, good.Check())
	for _, c := range []struct {
		address string
		secret  ExportSecret
		want    string // of the error; "" = there is none
	}{
		{"[::1]:3260", "", ""},
		{"[::ffff:127.0.0.1]:3260", "", ""},
		{"10.0.0.1:3260", "abcdefgh1234", ""},
		{"0.0.0.0:3260", "abcdefgh12345678", ""},
		{"10.0.0.1:3260", "", "only loopback"},
		{"[::]:3260", "", "only loopback"},
		{"10.0.0.1:3260", "abcdefgh123", "11 bytes"},
		{"127.0.0.1:3260", "abcdefgh123456789", "17 bytes"},
		{"h1:3260", "", "IP address and a port"},
		{"127.0.0.1:70000", "", "IP address and a port"},
		{"", "", "IP address and a port"},
	} {
		err := ExportSetting{Kind: ExportISCSI, Address: c.address, Secret: c.secret}.Check()
		if c.want == "" {
			require.NoError(t, err, c.address)
		} else {
			require.ErrorContains(t, err, c.want, c.address)
		}
	}
	require.Equal(t, "127.0.0.1", ExportISCSI.Host())
	require.Equal(t, "0.0.0.0", ExportNBDTLS.Host())
	tls := ExportSetting{Kind: ExportNBDTLS, Address: "0.0.0.0:10809"}
	require.NoError(t, tls.Check())
	tls.Secret = "abcdefgh1234"
	require.ErrorContains(t, tls.Check(), "takes no secret")
	require.ErrorContains(t, ExportSetting{Kind: ExportNBDTLS, Address: "h1:10809"}.Check(), "IP address and a port")
	require.ErrorContains(t, ExportSetting{Kind: ExportNBD, Address: good.Address}.Check(), `"nbd"`)
}

// Every row says all of it: what proves a guest above all, and where it listens unless it is a unix socket. What may
// be reached from elsewhere without an address being named asks for a credential.
func TestExportKinds_sayAllOfThemselves(t *testing.T) {
	for _, x := range exportKinds() {
		require.Contains(t, []ExportProof{ProofPlace, ProofSecret, ProofCredential}, x.proof, x.word)
		require.Positive(t, x.since, x.word)
		require.Equal(t, x.unixSocket, x.host == "", x.word)
		if !x.unixSocket && x.proof != ProofCredential {
			require.Equal(t, "127.0.0.1", x.host, x.word)
		}
		if !x.always {
			require.NotEqual(t, ProofPlace, x.proof, "%s: Check has to say where it may listen", x.word)
			require.False(t, x.unixSocket, "%s: Check wants an address and a port of every setting", x.word)
		}
	}
	unknown := ExportKind("telepathy")
	require.False(t, unknown.AsksSecret(), "nothing is made for it")
	require.Zero(t, unknown.Proof())
	require.Zero(t, unknown.Since())
}

func TestExportSecret_isNotPrinted(t *testing.T) {
	s := ExportSetting{Kind: ExportISCSI, Address: "10.0.0.1:3260", Secret: "abcdefgh12345678"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format, s)
		require.NotContains(t, text, "abcdefgh", format)
		require.Contains(t, text, "hidden", format)
	}
}

func TestExportSettings_portsAndKinds(t *testing.T) {
	at := func(kind ExportKind, address string) ExportSetting {
		return ExportSetting{Kind: kind, Address: address}
	}
	require.True(t, at("a", "127.0.0.1:1").CollidesWith(at("b", "[::ffff:127.0.0.1]:1")))
	require.True(t, at("a", "127.0.0.1:1").CollidesWith(at("b", "0.0.0.0:1")))
	require.False(t, at("a", "127.0.0.1:1").CollidesWith(at("b", "127.0.0.1:2")))
	require.False(t, at("a", "127.0.0.1:1").CollidesWith(at("b", "10.0.0.1:1")))

	require.EqualValues(t, ExportPortMin, FreeExportPort(nil))
	taken := []ExportSetting{at("a", "10.0.0.1:13260"), at("a", "127.0.0.1:13262"), at("a", "127.0.0.1:13261")}
	require.EqualValues(t, 13263, FreeExportPort(taken))
	var all []ExportSetting
	for port := ExportPortMin; port <= ExportPortMax; port++ {
		all = append(all, at("a", fmt.Sprintf("127.0.0.1:%d", port)))
	}
	require.Zero(t, FreeExportPort(all))

	one := []ExportSetting{at("b", "x")}
	two := WithExport(one, at("a", "y"))
	require.Equal(t, []ExportSetting{at("a", "y"), at("b", "x")}, two)
	require.Equal(t, []ExportSetting{at("a", "y"), at("b", "z")}, WithExport(two, at("b", "z")))
	require.Equal(t, []ExportSetting{at("a", "y")}, WithoutExport(two, "b"))
	require.Equal(t, []ExportSetting{at("b", "x")}, one)
}

func TestExportSetting_takesFromANode(t *testing.T) {
	for _, c := range []struct {
		export, node string
		want         bool
	}{
		{"10.0.0.1:3260", "10.0.0.1:3260", true},
		{"10.0.0.1:3260", "10.0.1.1:3260", false},
		{"10.0.0.1:3260", "10.0.0.1:7443", false},
		{"0.0.0.0:3260", "10.0.1.1:3260", true},
		{"[::ffff:0.0.0.0]:3260", "10.0.1.1:3260", true},
		{"[::]:3260", "10.0.1.1:3260", true},
		{"127.0.0.1:3260", "0.0.0.0:3260", true},
		{"10.0.0.1:3260", "n1.example:3260", true}, // which may be that one
		{"10.0.0.1:3260", "n1.example:7443", false},
		{"10.0.0.1:3260", "", false},
	} {
		s := ExportSetting{Kind: ExportISCSI, Address: c.export}
		require.Equal(t, c.want, s.TakesFrom(c.node), "%s %s", c.export, c.node)
	}
}
