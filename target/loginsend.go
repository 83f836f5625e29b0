package target

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// sendAll answers a complete request. Text that does not fit into one PDU goes out in several, each
// but the last with the C bit and acknowledged by an empty request (RFC 7143 §6.2).
func (l *login) sendAll(answer loginAnswer) error {
	text := iscsi.AppendText(nil, answer.pairs...)
	for len(text) > loginSegmentBytes {
		if err := l.sendText(loginAnswer{}, text[:loginSegmentBytes], true); err != nil {
			return err
		}
		text = text[loginSegmentBytes:]
		if err := l.read(); err != nil {
			return l.refuse(err)
		}
		if pairs, err := l.text.Take(); err != nil || len(pairs) > 0 || l.req.Continue {
			return l.refuse(refuse(iscsi.LoginInitiatorError, "text in the middle of an answer"))
		}
	}
	return l.sendText(answer, text, false)
}

// send answers with text that fits into one PDU.
func (l *login) send(answer loginAnswer) error {
	return l.sendText(answer, iscsi.AppendText(nil, answer.pairs...), false)
}

func (l *login) sendText(answer loginAnswer, text []byte, more bool) error {
	c := l.conn
	resp := iscsi.LoginResponse{
		Transit: answer.transit, Continue: more, CSG: l.stage, NSG: answer.next,
		ISID: l.req.ISID, TSIH: l.req.TSIH, ITT: l.req.ITT, StatSN: l.statSN, Status: answer.status,
		ExpCmdSN: c.window.expected(), MaxCmdSN: c.window.last(),
	}
	if answer.transit && answer.next == iscsi.FullFeaturePhase {
		resp.TSIH = l.session.tsih
	}
	if answer.status == iscsi.LoginSuccess {
		l.statSN = l.statSN.Next() // a refusal's StatSN is not meaningful, nothing follows it
	}
	var h iscsi.BHS
	resp.Encode(&h)
	var batch iscsi.Batch
	batch.Append(&h, text)
	if _, err := batch.WriteTo(c.raw); err != nil {
		return fmt.Errorf("%w: send Login Response: %w", errConnection, err)
	}
	return nil
}
