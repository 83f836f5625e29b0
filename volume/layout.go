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

// Layout is a volume's redundancy: mirror=N (N copies) or parity=K+M (K data, M parity legs). It never
// changes while the volume exists. It is a value: layouts are compared with ==.
type Layout struct {
	Kind  LayoutKind
	Data  int // legs that hold data: 1 for a mirror, K for parity
	Extra int // legs that may be lost: N-1 for a mirror, M for parity
	// Chunk is how many bytes lie in a row on one leg of parity; 0 for a mirror, whose legs hold everything. By
	// its tag no command with a layout of parity is proposed before every coordinator knows chunks.
	Chunk int64 `json:"chunk,omitempty" since:"2"`
}

// The bounds of layouts.
const (
	MaxMirrorLegs = 8
	MaxDataLegs   = 8
	MaxParityLegs = 3
)

// Mirror returns the layout mirror=n.
func Mirror(n int) Layout { return Layout{Kind: KindMirror, Data: 1, Extra: n - 1} }

// Parity returns the layout parity=k+m with chunks of the usual size.
func Parity(k, m int) Layout {
	return Layout{Kind: KindParity, Data: k, Extra: m, Chunk: DefaultChunkBytes(k)}
}

// Check returns why no volume can have this layout, nil if one can.
func (l Layout) Check() error {
	switch {
	case l.Kind == KindMirror:
		if l.Data != 1 || l.Extra < 0 || l.Legs() > MaxMirrorLegs {
			return fmt.Errorf("layout %s: a mirror has 1 to %d legs, as in mirror=2", l, MaxMirrorLegs)
		}
		if l.Chunk != 0 {
			return fmt.Errorf("layout %s: only parity has chunks, each leg of a mirror holds everything", l)
		}
		return nil
	case l.Kind != KindParity:
		return fmt.Errorf("layout %q is unknown (mirror=2, mirror=3, parity=4+2 …)", string(l.Kind))
	case l.Data < 2 || l.Data > MaxDataLegs || l.Extra < 1 || l.Extra > MaxParityLegs:
		return fmt.Errorf("layout %s: parity has 2 to %d data and 1 to %d parity legs, as in parity=4+2",
			l, MaxDataLegs, MaxParityLegs)
	}
	if err := CheckChunk(l.Chunk); err != nil {
		return fmt.Errorf("layout %s: %w", l, err)
	}
	return nil
}

// ParseLayout reads "mirror=2", "parity=4+2" or "parity=4+2,chunk=128K".
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
		return parseParity(s, rest)
	}
	return Layout{}, fmt.Errorf("layout %q is unknown (mirror=2, mirror=3, parity=4+2 …)", s)
}

// parseParity reads what stands behind "parity=".
func parseParity(s, rest string) (Layout, error) {
	legs, chunkText, chunked := strings.Cut(rest, ",chunk=")
	dataText, parityText, _ := strings.Cut(legs, "+")
	k, errK := strconv.Atoi(dataText)
	m, errM := strconv.Atoi(parityText)
	if errK != nil || errM != nil {
		return Layout{}, fmt.Errorf("layout %q: parity has 2 to %d data and 1 to %d parity legs, as in parity=4+2",
			s, MaxDataLegs, MaxParityLegs)
	}
	l := Parity(k, m)
	if chunked {
		chunk, err := ParseSize(chunkText)
		if err != nil {
			return Layout{}, fmt.Errorf("layout %q: chunk: %w", s, err)
		}
		l.Chunk = chunk
	}
	if err := l.Check(); err != nil {
		return Layout{}, err
	}
	return l, nil
}

// Legs returns how many legs the layout has.
func (l Layout) Legs() int { return l.Data + l.Extra }

// String returns the form that ParseLayout reads. A chunk of the usual size is not named.
func (l Layout) String() string {
	switch {
	case l.Kind == KindMirror:
		return fmt.Sprintf("mirror=%d", l.Legs())
	case l.Chunk == DefaultChunkBytes(l.Data):
		return fmt.Sprintf("parity=%d+%d", l.Data, l.Extra)
	}
	return fmt.Sprintf("parity=%d+%d,chunk=%s", l.Data, l.Extra, SizeText(l.Chunk))
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
