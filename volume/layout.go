package volume

import (
	"fmt"
	"strconv"
	"strings"
)

// LayoutKind is how a volume spreads its data over legs.
type LayoutKind string

// The layout kinds.
const (
	KindMirror LayoutKind = "mirror"
	KindParity LayoutKind = "parity"
)

// Layout is a volume's redundancy: mirror=N (N copies) or parity=K+M (K data, M parity legs).
type Layout struct {
	Kind  LayoutKind
	Data  int // legs that hold data: 1 for a mirror, K for parity
	Extra int // legs that may be lost: N-1 for a mirror, M for parity
}

// The bounds of layouts.
const (
	MaxMirrorLegs = 8
	MaxDataLegs   = 8
	MaxParityLegs = 3
)

// Mirror returns the layout mirror=n.
func Mirror(n int) Layout { return Layout{Kind: KindMirror, Data: 1, Extra: n - 1} }

// ParseLayout reads "mirror=2" or "parity=4+2".
func ParseLayout(s string) (Layout, error) {
	kind, rest, _ := strings.Cut(s, "=")
	switch LayoutKind(kind) {
	case KindMirror:
		n, err := strconv.Atoi(rest)
		if err != nil || n < 1 || n > MaxMirrorLegs {
			return Layout{}, fmt.Errorf("layout %q: a mirror has 1 to %d legs, as in mirror=2", s, MaxMirrorLegs)
		}
		return Mirror(n), nil
	case KindParity:
		dataText, parityText, _ := strings.Cut(rest, "+")
		k, errK := strconv.Atoi(dataText)
		m, errM := strconv.Atoi(parityText)
		if errK != nil || errM != nil || k < 2 || k > MaxDataLegs || m < 1 || m > MaxParityLegs {
			return Layout{}, fmt.Errorf("layout %q: parity has 2 to %d data and 1 to %d parity legs, as in parity=4+2",
				s, MaxDataLegs, MaxParityLegs)
		}
		return Layout{Kind: KindParity, Data: k, Extra: m}, nil
	}
	return Layout{}, fmt.Errorf("layout %q is unknown (mirror=2, mirror=3, parity=4+2 …)", s)
}

// Legs returns how many legs the layout has.
func (l Layout) Legs() int { return l.Data + l.Extra }

// Quorum returns how many in-sync legs a volume needs to be read: one of a mirror, K of parity.
func (l Layout) Quorum() int { return l.Data }

// String returns the form that ParseLayout reads.
func (l Layout) String() string {
	if l.Kind == KindMirror {
		return fmt.Sprintf("mirror=%d", l.Legs())
	}
	return fmt.Sprintf("parity=%d+%d", l.Data, l.Extra)
}

// MarshalText returns the form that ParseLayout reads; the zero layout is the empty text.
func (l Layout) MarshalText() ([]byte, error) {
	if l == (Layout{}) {
		return nil, nil
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads the form that ParseLayout reads; the empty text is the zero layout.
func (l *Layout) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*l = Layout{}
		return nil
	}
	parsed, err := ParseLayout(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}
