package iscsi

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func wants() Preferences {
	return Preferences{
		HeaderDigest:             []string{DigestCRC32C, DigestNone},
		DataDigest:               []string{DigestNone},
		MaxRecvDataSegmentLength: 262144,
		MaxBurstLength:           1 << 20,
		FirstBurstLength:         262144,
		MaxOutstandingR2T:        4,
		ImmediateData:            true,
		DefaultTime2Wait:         2,
		DefaultTime2Retain:       20,
	}
}

func pairs(text string) []KeyValue {
	var out []KeyValue
	for _, item := range strings.Fields(text) {
		k, v, _ := strings.Cut(item, "=")
		out = append(out, KeyValue{k, v})
	}
	return out
}

func text(kvs []KeyValue) string {
	var out []string
	for _, p := range kvs {
		out = append(out, p.Key+"="+p.Value)
	}
	return strings.Join(out, " ")
}

// TestNegotiator_targetAnswers holds a row for each kind of key, and each way to break it.
func TestNegotiator_targetAnswers(t *testing.T) {
	for _, c := range []struct{ offer, answer string }{
		{"HeaderDigest=CRC32C,None", "HeaderDigest=CRC32C"},
		{"HeaderDigest=None,CRC32C", "HeaderDigest=None"},
		{"DataDigest=CRC32C", "DataDigest=Reject"},
		{"InitialR2T=Yes", "InitialR2T=Yes"},
		{"InitialR2T=No", "InitialR2T=No"},
		{"InitialR2T=maybe", "InitialR2T=Reject"},
		{"ImmediateData=Yes", "ImmediateData=Yes"},
		{"ImmediateData=No", "ImmediateData=No"},
		{"DataPDUInOrder=No", "DataPDUInOrder=Yes"},
		{"MaxConnections=8", "MaxConnections=1"},
		{"MaxBurstLength=16776192", "MaxBurstLength=1048576"},
		{"MaxBurstLength=0x1000", "MaxBurstLength=4096"},
		{"MaxBurstLength=511", "MaxBurstLength=Reject"},
		{"MaxBurstLength=16777216", "MaxBurstLength=Reject"},
		{"MaxBurstLength=-1", "MaxBurstLength=Reject"},
		{"DefaultTime2Wait=0", "DefaultTime2Wait=2"},
		{"DefaultTime2Retain=0", "DefaultTime2Retain=0"},
		{"ErrorRecoveryLevel=2", "ErrorRecoveryLevel=0"},
		{"IFMarker=Yes", "IFMarker=No"},
		{"TaskReporting=FastAbort,RFC3720", "TaskReporting=RFC3720"},
		{"iSCSIProtocolLevel=2", "iSCSIProtocolLevel=1"},
		{"X-com.example.key=1", "X-com.example.key=NotUnderstood"},
		{"Nonsense=1", "Nonsense=NotUnderstood"},
		{"Nonsense=NotUnderstood", ""},
		{"MaxRecvDataSegmentLength=65536", ""},
		{"InitiatorAlias=me", ""},
	} {
		n := NewNegotiator(Target, false, wants())
		got, err := n.Receive(pairs(c.offer))
		require.NoError(t, err, c.offer)
		require.Equal(t, c.answer, text(got), c.offer)
	}
}

func TestNegotiator_protocolErrors(t *testing.T) {
	for _, offer := range []string{
		"ImmediateData=Yes ImmediateData=Yes",
		"MaxRecvDataSegmentLength=511",
		"MaxRecvDataSegmentLength=8192 MaxRecvDataSegmentLength=8192",
		"TargetPortalGroupTag=1",
	} {
		_, err := NewNegotiator(Target, false, wants()).Receive(pairs(offer))
		var broken *ProtocolError
		require.ErrorAs(t, err, &broken, offer)
	}
	for _, answer := range []string{
		"MaxBurstLength=16776192",  // more than was offered
		"ErrorRecoveryLevel=1",     // more than was offered
		"HeaderDigest=CRC32C,None", // an answer is one value
		"DataDigest=CRC32C",        // was not offered
		"DefaultTime2Wait=1",       // less than was offered
		"DataPDUInOrder=No",        // Yes wins
		"InitiatorName=iqn.x:y",    // is not the target's
		"ImmediateData=Yes ImmediateData=No",
	} {
		n := NewNegotiator(Initiator, false, wants())
		n.Offer()
		_, err := n.Receive(pairs(answer))
		var broken *ProtocolError
		require.ErrorAs(t, err, &broken, answer)
	}
}

func TestNegotiator_discoveryLeavesOutNormalKeys(t *testing.T) {
	n := NewNegotiator(Target, false, wants())
	n.SetDiscovery()
	got, err := n.Receive(pairs("ImmediateData=Yes HeaderDigest=None MaxBurstLength=4096"))
	require.NoError(t, err)
	require.Equal(t, "ImmediateData=Irrelevant HeaderDigest=None MaxBurstLength=Irrelevant", text(got))
	for _, p := range NewNegotiator(Initiator, true, wants()).Offer() {
		require.False(t, specOf(p.Key).normalOnly, p.Key)
	}
}

func TestNegotiator_defaults(t *testing.T) {
	require.Equal(t, Params{
		MaxRecvDataSegmentLength: 8192, MaxSendDataSegmentLength: 8192, MaxBurstLength: 262144,
		FirstBurstLength: 65536, MaxOutstandingR2T: 1, InitialR2T: true, ImmediateData: true,
		DefaultTime2Wait: 2, DefaultTime2Retain: 20,
	}, NewNegotiator(Target, false, wants()).Params(), "RFC 7143 §13, when nobody says anything")
}

func TestNegotiator_bothEndsAgree(t *testing.T) {
	theirs := wants()
	theirs.MaxRecvDataSegmentLength, theirs.MaxBurstLength, theirs.FirstBurstLength = 65536, 16384, 262144
	i, tgt := NewNegotiator(Initiator, false, theirs), NewNegotiator(Target, false, wants())
	answers, err := tgt.Receive(i.Offer())
	require.NoError(t, err)
	require.Empty(t, tgt.Pending())
	answers = append(answers, tgt.Offer()...)
	require.Empty(t, tgt.Offer(), "declarations are sent once")
	require.NotEmpty(t, i.Pending())
	back, err := i.Receive(append(answers, KeyValue{"X-io.example", "1"}))
	require.NoError(t, err)
	require.Empty(t, back)
	require.Empty(t, i.Pending())
	require.Equal(t, pairs("X-io.example=1"), i.Unknown())

	a, b := i.Params(), tgt.Params()
	require.EqualValues(t, 65536, b.MaxSendDataSegmentLength)
	require.EqualValues(t, 262144, a.MaxSendDataSegmentLength)
	require.EqualValues(t, 16384, a.FirstBurstLength, "at most MaxBurstLength")
	require.True(t, a.Digests.Header)
	a.MaxRecvDataSegmentLength, a.MaxSendDataSegmentLength =
		a.MaxSendDataSegmentLength, a.MaxRecvDataSegmentLength
	require.Equal(t, a, b)
}

func TestKeyTable_namesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range keyTable() {
		require.False(t, seen[s.name], s.name)
		seen[s.name] = true
		if s.kind == numberMin || s.kind == numberMax {
			_, ok := s.number(s.initial)
			require.True(t, ok, "the default of %s is in its range", s.name)
		}
	}
}

func TestText(t *testing.T) {
	kvs := []KeyValue{{"A", "1"}, {"X-b.c", ""}, {"K", "a=b,c"}}
	wire := AppendText(nil, kvs...)
	require.Equal(t, "A=1\x00X-b.c=\x00K=a=b,c\x00", string(wire))
	got, err := ParseText(append(wire, 0, 0))
	require.NoError(t, err)
	require.Equal(t, kvs, got)
	for _, bad := range []string{
		"novalue\x00", "=1\x00", "1A=1\x00", "A b=1\x00", strings.Repeat("k", 64) + "=1",
		"K=" + strings.Repeat("v", maxValueBytes+1), strings.Repeat("A=1\x00", maxPairs+1),
	} {
		_, err := ParseText([]byte(bad))
		require.Error(t, err, "%.40q", bad)
	}
	b := TextBuffer{Limit: 8}
	require.NoError(t, b.Add([]byte("A=1")))
	require.NoError(t, b.Add([]byte("23\x00")))
	require.Error(t, b.Add([]byte("B=1")))
	got, err = b.Take()
	require.NoError(t, err)
	require.Equal(t, []KeyValue{{"A", "123"}}, got)
}

func FuzzTextKeys(f *testing.F) {
	f.Add([]byte("A=1\x00B=2\x00"))
	f.Add([]byte("MaxBurstLength=0x200"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := ParseText(data)
		if err != nil {
			return
		}
		again, err := ParseText(AppendText(nil, first...))
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
}

func FuzzLoginNegotiation(f *testing.F) {
	f.Add([]byte("HeaderDigest=CRC32C\x00MaxBurstLength=4096\x00InitialR2T=No\x00"), false)
	f.Add(AppendText(nil, NewNegotiator(Initiator, false, wants()).Offer()...), true)
	f.Fuzz(func(t *testing.T, data []byte, asInitiator bool) {
		kvs, err := ParseText(data)
		if err != nil {
			return
		}
		n := NewNegotiator(Target, false, wants())
		if asInitiator {
			n = NewNegotiator(Initiator, false, wants())
			n.Offer()
		}
		if _, err := n.Receive(kvs); err != nil {
			return
		}
		p := n.Params()
		if p.FirstBurstLength > p.MaxBurstLength || p.MaxBurstLength < 512 ||
			p.MaxSendDataSegmentLength < 512 || p.MaxOutstandingR2T == 0 {
			t.Fatalf("illegal outcome %+v of %q", p, data)
		}
	})
}
