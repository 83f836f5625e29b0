package inband

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

const (
	legIDBytes       = 16
	transactionBytes = 16
	recordBytes      = 32 // of a record without its legs
	recordCommitted  = 1  // bit 0 of a record's flags
	stageFixedBytes  = headerBytes + recordBytes
	recordsFixed     = 32
)

const (
	// StageMaxBytes is the longest parameter list of STAGE, without the payload behind it.
	StageMaxBytes = stageFixedBytes + legIDBytes*volume.MaxInSync
	// TransactionBytes is the length of the parameter list of COMMIT, FREE and DROP.
	TransactionBytes = headerBytes + transactionBytes
	// MaxRollback is the most transactions of one ROLLBACK: more records than any journal has.
	MaxRollback = 16384
	// RollbackMaxBytes is the longest parameter list of ROLLBACK.
	RollbackMaxBytes = headerBytes + transactionBytes*MaxRollback
	// MaxPageRecords is the most records in one page.
	MaxPageRecords = 200
	// RecordsMaxBytes is the longest page of RECORDS' answer; it holds MaxPageRecords records.
	RecordsMaxBytes = headerBytes + recordsFixed + MaxPageRecords*(recordBytes+legIDBytes*volume.MaxInSync)
)

func appendTransaction(b []byte, t volume.Transaction) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Epoch))
	return binary.BigEndian.AppendUint64(b, t.Number)
}

func getTransaction(b []byte) volume.Transaction {
	return volume.Transaction{Epoch: volume.Epoch(binary.BigEndian.Uint64(b)), Number: binary.BigEndian.Uint64(b[8:])}
}

// appendRecord appends a record: transaction (16), first block (8), blocks (4), kind, flags, number of legs, reserved;
// the legs.
func appendRecord(b []byte, r volume.Record) []byte {
	b = appendTransaction(b, r.Transaction)
	b = binary.BigEndian.AppendUint64(b, uint64(r.FirstBlock))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Blocks))
	var flags byte
	if r.Committed {
		flags = recordCommitted
	}
	b = append(b, byte(r.Kind), flags, byte(len(r.Legs)), 0)
	for _, id := range r.Legs {
		b = append(b, id.UUID[:]...)
	}
	return b
}

// parseRecord reads a record from the front of b, which begins at byte at of its list, and returns the rest.
func parseRecord(b []byte, at int) (volume.Record, []byte, error) {
	if len(b) < recordBytes || len(b) < recordBytes+legIDBytes*int(b[30]) {
		return volume.Record{}, nil, fmt.Errorf("%w: a record is cut short", ErrLength)
	}
	if b[29]&^recordCommitted != 0 || b[31] != 0 {
		return volume.Record{}, nil, &FieldError{Byte: at + 29, InParameter: true, Reason: "reserved"}
	}
	r := volume.Record{
		Transaction: getTransaction(b), FirstBlock: int64(binary.BigEndian.Uint64(b[16:])),
		Blocks: int64(binary.BigEndian.Uint32(b[24:])), Kind: volume.RecordKind(b[28]),
		Committed: b[29]&recordCommitted != 0,
	}
	rest := b[recordBytes:]
	for range b[30] {
		r.Legs = append(r.Legs, volume.LegID{UUID: volume.UUID(rest)})
		rest = rest[legIDBytes:]
	}
	if err := r.Check(); err != nil {
		return volume.Record{}, nil, &FieldError{Byte: at, InParameter: true, Reason: err.Error()}
	}
	return r, rest, nil
}

// AppendStage appends STAGE's parameter list, behind which the payload goes. It refuses what no leg takes.
func AppendStage(b []byte, r volume.Record) ([]byte, error) {
	if err := r.Check(); err != nil {
		return b, err
	}
	b = appendHeader(b, recordBytes+legIDBytes*len(r.Legs))
	r.Committed = false
	return appendRecord(b, r), nil
}

// ParseStage reads STAGE's parameter list and returns the payload behind it, which is as long as the record says.
func ParseStage(b []byte) (volume.Record, []byte, error) {
	body, err := parseHeader(b)
	if err != nil {
		return volume.Record{}, nil, err
	}
	r, rest, err := parseRecord(body, headerBytes)
	payload := b[headerBytes+len(body):]
	switch {
	case err != nil:
		return volume.Record{}, nil, err
	case len(rest) != 0:
		return volume.Record{}, nil, fmt.Errorf("%w: %d bytes behind the legs", ErrLength, len(rest))
	case r.Committed:
		return volume.Record{}, nil, &FieldError{Byte: headerBytes + 29, InParameter: true, Reason: "reserved"}
	case int64(len(payload)) != r.Blocks*volume.BlockBytes:
		return volume.Record{}, nil, fmt.Errorf("%w: a payload of %d bytes for %d blocks", ErrLength, len(payload),
			r.Blocks)
	}
	return r, payload, nil
}

// AppendTransaction appends the parameter list of COMMIT, FREE and DROP.
func AppendTransaction(b []byte, t volume.Transaction) []byte {
	return appendTransaction(appendHeader(b, transactionBytes), t)
}

// ParseTransaction reads the parameter list of COMMIT, FREE and DROP.
func ParseTransaction(b []byte) (volume.Transaction, error) {
	list, err := parseTransactions(b)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("%w: %d transactions, want one", ErrLength, len(list))
	}
	if err != nil {
		return volume.Transaction{}, err
	}
	return list[0], nil
}

// AppendRollback appends ROLLBACK's parameter list, of 1 to MaxRollback transactions.
func AppendRollback(b []byte, list []volume.Transaction) ([]byte, error) {
	if len(list) < 1 || len(list) > MaxRollback {
		return b, fmt.Errorf("%w: roll-back of %d transactions, 1 to %d", ErrLength, len(list), MaxRollback)
	}
	b = appendHeader(b, transactionBytes*len(list))
	for _, t := range list {
		b = appendTransaction(b, t)
	}
	return b, nil
}

// ParseRollback reads ROLLBACK's parameter list.
func ParseRollback(b []byte) ([]volume.Transaction, error) { return parseTransactions(b) }

func parseTransactions(b []byte) ([]volume.Transaction, error) {
	body, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	if n := len(body) / transactionBytes; n < 1 || n > MaxRollback || len(body)%transactionBytes != 0 {
		return nil, fmt.Errorf("%w: transactions of %d bytes", ErrLength, len(body))
	}
	list := make([]volume.Transaction, 0, len(body)/transactionBytes)
	for ; len(body) > 0; body = body[transactionBytes:] {
		list = append(list, getTransaction(body))
	}
	return list, nil
}

// RecordsPage is one page of RECORDS' answer.
type RecordsPage struct {
	volume.Records
	Next uint64 // ask again from this place on; 0 when this page is the last
}

// AppendRecords appends one page. It refuses one that ParseRecords would refuse.
func AppendRecords(b []byte, p RecordsPage) ([]byte, error) {
	if len(p.Records.Records) > MaxPageRecords {
		return b, fmt.Errorf("%w: %d records in a page, at most %d", ErrLength, len(p.Records.Records), MaxPageRecords)
	}
	follow := recordsFixed
	for _, r := range p.Records.Records {
		if err := r.Check(); err != nil {
			return b, err
		}
		follow += recordBytes + legIDBytes*len(r.Legs)
	}
	b = appendHeader(b, follow)
	b = binary.BigEndian.AppendUint64(b, p.Next)
	b = appendTransaction(b, p.Floor)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Records.Records)))
	b = append(b, 0, 0, 0, 0)
	for _, r := range p.Records.Records {
		b = appendRecord(b, r)
	}
	return b, nil
}

// ParseRecords reads one page.
func ParseRecords(b []byte) (RecordsPage, error) {
	body, err := parseHeader(b)
	if err != nil {
		return RecordsPage{}, err
	}
	if len(body) < recordsFixed {
		return RecordsPage{}, fmt.Errorf("%w: records of %d bytes", ErrLength, len(b))
	}
	p := RecordsPage{Next: binary.BigEndian.Uint64(body)}
	p.Floor = getTransaction(body[8:])
	count := binary.BigEndian.Uint32(body[24:])
	switch {
	case binary.BigEndian.Uint32(body[28:]) != 0:
		return RecordsPage{}, &FieldError{Byte: headerBytes + 28, InParameter: true, Reason: "reserved"}
	case count > MaxPageRecords:
		return RecordsPage{}, fmt.Errorf("%w: %d records in a page", ErrLength, count)
	}
	rest := body[recordsFixed:]
	for range count {
		var r volume.Record
		if r, rest, err = parseRecord(rest, headerBytes+len(body)-len(rest)); err != nil {
			return RecordsPage{}, err
		}
		p.Records.Records = append(p.Records.Records, r)
	}
	if len(rest) != 0 {
		return RecordsPage{}, fmt.Errorf("%w: %d bytes behind the records", ErrLength, len(rest))
	}
	return p, nil
}
