package iscsi

import (
	"strconv"
	"strings"
)

// number decodes a numerical value, decimal or hexadecimal, within the key's range.
func (s *keySpec) number(text string) (uint32, bool) {
	base, digits := 10, text
	if rest, ok := cutHexPrefix(text); ok {
		base, digits = 16, rest
	}
	if strings.HasPrefix(digits, "+") || strings.Contains(digits, "_") {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, base, 32)
	if err != nil || uint32(v) < s.min || uint32(v) > s.max {
		return 0, false
	}
	return uint32(v), true
}

func cutHexPrefix(text string) (string, bool) {
	if rest, ok := strings.CutPrefix(text, "0x"); ok {
		return rest, true
	}
	return strings.CutPrefix(text, "0X")
}

// settle returns the outcome of an offer against this side's own value. It is not ok when the offer
// is no legal value, or no offered value of a list is acceptable.
func (s *keySpec) settle(offer, own string) (outcome string, ok bool) {
	switch s.kind {
	case list:
		return Choose(offer, own)
	case numberMin, numberMax:
		theirs, ok := s.number(offer)
		mine, okMine := s.number(own)
		if !ok || !okMine {
			return "", false
		}
		if s.kind == numberMin {
			mine = min(mine, theirs)
		} else {
			mine = max(mine, theirs)
		}
		return strconv.FormatUint(uint64(mine), 10), true
	case booleanAnd, booleanOr:
		if offer != Yes && offer != No {
			return "", false
		}
		if s.kind == booleanAnd && offer == Yes || s.kind == booleanOr && offer == No {
			return own, true
		}
		return offer, true
	}
	return "", false
}

// answers reports whether answer is a legal outcome of this side's offer.
func (s *keySpec) answers(offer, answer string) bool {
	switch s.kind {
	case list:
		_, ok := Choose(offer, answer)
		return ok && !strings.Contains(answer, ",")
	case numberMin, numberMax:
		theirs, ok := s.number(answer)
		mine, okMine := s.number(offer)
		inRange := s.kind == numberMin && theirs <= mine || s.kind == numberMax && theirs >= mine
		return ok && okMine && inRange
	case booleanAnd:
		return answer == No || answer == Yes && offer == Yes
	case booleanOr:
		return answer == Yes || answer == No && offer == No
	}
	return false
}

// Choose returns the first value of a comma-separated offer that is in the comma-separated list
// accepted, as a responder answers a key of kind list (RFC 7143 §6.2.1).
func Choose(offer, accepted string) (string, bool) {
	for value := range strings.SplitSeq(offer, ",") {
		for a := range strings.SplitSeq(accepted, ",") {
			if a == value && value != "" {
				return value, true
			}
		}
	}
	return "", false
}
