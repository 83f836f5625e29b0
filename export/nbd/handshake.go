package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// optionsMax bounds a handshake: no client needs this many options.
const optionsMax = 64

// errGoodbye ends a handshake in which the client asked for nothing more; it is no failure.
var errGoodbye = errors.New("the client ended the handshake")

// agreement is what a handshake leads to.
type agreement struct {
	structured bool // reads are answered by structured replies
}

// handshake does the server's side of the fixed newstyle handshake. It returns errGoodbye when the
// client left in good order without opening the export. With startTLS the client has to ask for TLS before anything
// else (FORCEDTLS); startTLS is called when it did and was answered, and returns what the rest is said through.
func handshake(rw io.ReadWriter, e exportInfo, startTLS func() (io.ReadWriter, error)) (agreement, error) {
	h := &handshaker{rw: rw, export: e, startTLS: startTLS}
	hello := binary.BigEndian.AppendUint64(nil, magicServer)
	hello = binary.BigEndian.AppendUint64(hello, magicOption)
	hello = binary.BigEndian.AppendUint16(hello, flagFixedNewstyle|flagNoZeroes)
	if _, err := rw.Write(hello); err != nil {
		return agreement{}, err
	}
	var raw [4]byte
	if _, err := io.ReadFull(rw, raw[:]); err != nil {
		return agreement{}, err
	}
	flags := binary.BigEndian.Uint32(raw[:])
	if flags&uint32(flagFixedNewstyle) == 0 || flags&^uint32(flagFixedNewstyle|flagNoZeroes) != 0 {
		return agreement{}, fmt.Errorf("client flags %#x: want the fixed newstyle handshake", flags)
	}
	h.noZeroes = flags&uint32(flagNoZeroes) != 0
	for range optionsMax {
		done, err := h.option()
		if done || err != nil {
			return h.agreed, err
		}
	}
	return agreement{}, fmt.Errorf("more than %d options", optionsMax)
}

type handshaker struct {
	rw       io.ReadWriter
	export   exportInfo
	startTLS func() (io.ReadWriter, error) // nil = TLS is neither wanted nor to be had
	secured  bool                          // TLS has begun
	noZeroes bool
	agreed   agreement
}

// option reads one option and answers it. It reports whether the export is open now.
func (h *handshaker) option() (bool, error) {
	var raw [optionHeaderBytes]byte
	if _, err := io.ReadFull(h.rw, raw[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return false, errGoodbye
		}
		return false, err
	}
	header, err := parseOptionHeader(raw[:])
	if err != nil {
		return false, err
	}
	data := make([]byte, header.Length)
	if _, err := io.ReadFull(h.rw, data); err != nil {
		return false, err
	}
	if h.startTLS != nil && !h.secured {
		return false, h.unsecured(header.Option, data)
	}
	switch header.Option {
	case optStartTLS:
		if h.secured {
			return false, h.reply(optStartTLS, repErrInvalid, []byte("TLS has begun already"))
		}
	case optExportName:
		return true, h.exportName(string(data))
	case optAbort:
		return false, errors.Join(errGoodbye, h.reply(optAbort, repAck, nil))
	case optList:
		return false, h.list(data)
	case optInfo, optGo:
		return h.info(header.Option, data)
	case optStructuredReply:
		if len(data) != 0 {
			return false, h.reply(header.Option, repErrInvalid, []byte("no data expected"))
		}
		h.agreed.structured = true
		return false, h.reply(header.Option, repAck, nil)
	}
	return false, h.reply(header.Option, repErrUnsup, nil)
}

// unsecured answers an option of a client that has not begun TLS, as it has to.
func (h *handshaker) unsecured(o option, data []byte) error {
	switch {
	case o == optAbort:
		return errors.Join(errGoodbye, h.reply(o, repAck, nil))
	case o == optExportName:
		return errors.New("client asked for an export before it began TLS")
	case o != optStartTLS:
		return h.reply(o, repErrTLSReqd, []byte("this export is to be had with TLS only"))
	case len(data) != 0:
		return h.reply(o, repErrInvalid, []byte("no data expected"))
	}
	if err := h.reply(o, repAck, nil); err != nil {
		return err
	}
	rw, err := h.startTLS()
	if err != nil {
		return err
	}
	// What was said in the clear is forgotten: anybody may have said it.
	h.rw, h.secured, h.agreed = rw, true, agreement{}
	return nil
}

// exportName is the old way in, which cannot be refused but by closing the connection.
func (h *handshaker) exportName(name string) error {
	if !h.known(name) {
		return fmt.Errorf("client asked for export %q, this is %q", name, h.export.Name)
	}
	answer := h.export.appendSizeAndFlags(nil)
	if !h.noZeroes {
		answer = append(answer, make([]byte, 124)...)
	}
	_, err := h.rw.Write(answer)
	return err
}

func (h *handshaker) list(data []byte) error {
	if len(data) != 0 {
		return h.reply(optList, repErrInvalid, []byte("no data expected"))
	}
	entry := binary.BigEndian.AppendUint32(nil, uint32(len(h.export.Name)))
	answer := appendOptReply(nil, optList, repServer, append(entry, h.export.Name...))
	_, err := h.rw.Write(appendOptReply(answer, optList, repAck, nil))
	return err
}

// info answers NBD_OPT_INFO and NBD_OPT_GO. Block sizes are always told: a client that did not ask
// may learn from them too, and requests that do not keep to them are refused one by one.
func (h *handshaker) info(o option, data []byte) (bool, error) {
	asked, err := parseInfoRequest(data)
	if err != nil {
		return false, h.reply(o, repErrInvalid, []byte(err.Error()))
	}
	if !h.known(asked.Name) {
		return false, h.reply(o, repErrUnknown, fmt.Appendf(nil, "the export's name is %q", h.export.Name))
	}
	answer := appendOptReply(nil, o, repInfo, h.export.appendExport(nil))
	answer = appendOptReply(answer, o, repInfo, h.export.appendBlockSize(nil))
	for _, info := range asked.Infos {
		if info == infoName {
			answer = appendOptReply(answer, o, repInfo, h.export.appendName(nil))
		}
	}
	_, err = h.rw.Write(appendOptReply(answer, o, repAck, nil))
	return o == optGo, err
}

// known reports whether the name means this export; the empty name means the default one.
func (h *handshaker) known(name string) bool {
	return name == "" || name == h.export.Name || name == h.export.Alias
}

func (h *handshaker) reply(o option, r optReply, data []byte) error {
	_, err := h.rw.Write(appendOptReply(nil, o, r, data))
	return err
}
