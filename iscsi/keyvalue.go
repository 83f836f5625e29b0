package iscsi

import (
	"bytes"
	"fmt"
)

// The bounds of text (RFC 7143 §6.1).
const (
	maxKeyBytes   = 63
	maxValueBytes = 8192 // of the longest values, binary ones
	maxPairs      = 256
)

// KeyValue is one key=value pair of a login or text PDU.
type KeyValue struct{ Key, Value string }

// The answers that are no values (RFC 7143 §6.2).
const (
	NotUnderstood = "NotUnderstood"
	Irrelevant    = "Irrelevant"
	RejectValue   = "Reject"
)

// ParseText decodes the text of a whole exchange: pairs that each end in a zero byte. The last one
// may lack it. Empty pairs are passed over, since some initiators pad text with zeroes.
func ParseText(data []byte) ([]KeyValue, error) {
	var pairs []KeyValue
	for len(data) > 0 {
		item, rest, _ := bytes.Cut(data, []byte{0})
		data = rest
		if len(item) == 0 {
			continue
		}
		key, value, found := bytes.Cut(item, []byte{'='})
		switch {
		case !found:
			return nil, protocolErrorf("text", "6.1", "no '=' in a pair of %d bytes", len(item))
		case !validKey(key):
			return nil, protocolErrorf("text", "6.1", "bad key name %.70q", key)
		case len(value) > maxValueBytes:
			return nil, protocolErrorf("text", "6.1", "value of %s is %d bytes long", key, len(value))
		case len(pairs) == maxPairs:
			return nil, protocolErrorf("text", "6.1", "more than %d pairs", maxPairs)
		}
		pairs = append(pairs, KeyValue{string(key), string(value)})
	}
	return pairs, nil
}

// validKey reports whether b is a key-name of RFC 7143 §6.1: a letter, then letters, digits and
// ".-+@_#", or any of them after "X#" and the like.
func validKey(b []byte) bool {
	if len(b) == 0 || len(b) > maxKeyBytes {
		return false
	}
	for i, c := range b {
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9') && bytes.IndexByte([]byte(".-+@_#"), c) < 0) {
			return false
		}
	}
	return true
}

// AppendText appends pairs as ParseText reads them.
func AppendText(b []byte, pairs ...KeyValue) []byte {
	for _, p := range pairs {
		b = append(b, p.Key...)
		b = append(b, '=')
		b = append(b, p.Value...)
		b = append(b, 0)
	}
	return b
}

// TextBuffer collects the text of PDUs with the C bit until the exchange is whole.
type TextBuffer struct {
	Limit int // bytes
	buf   []byte
}

// Add appends the text of one PDU. It refuses to grow beyond Limit.
func (t *TextBuffer) Add(data []byte) error {
	if len(t.buf)+len(data) > t.Limit {
		return fmt.Errorf("text longer than %d bytes", t.Limit)
	}
	t.buf = append(t.buf, data...)
	return nil
}

// Take decodes what was collected and empties the buffer.
func (t *TextBuffer) Take() ([]KeyValue, error) {
	pairs, err := ParseText(t.buf)
	t.buf = t.buf[:0]
	return pairs, err
}

// find returns the value of a key that may stand only once.
func find(pairs []KeyValue, key string) (value string, found bool, err error) {
	for _, p := range pairs {
		if p.Key != key {
			continue
		}
		if found {
			return "", false, protocolErrorf("text", "6.3", "%s is given twice", key)
		}
		value, found = p.Value, true
	}
	return value, found, nil
}
