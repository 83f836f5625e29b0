package devnet

import (
	"fmt"
	"time"
)

// Rules are what one direction of a link does to its frames. The zero value passes all of them on at once.
type Rules struct {
	Cut   bool          `json:"cut"`   // loses everything, without a word
	Delay time.Duration `json:"delay"` // holds every frame for so long; the order stays
	Loss  float64       `json:"loss"`  // loses this part of the frames, 0 to 1
}

// delayMax bounds how long a link may hold a frame.
const delayMax = 10 * time.Second

// Check refuses rules that mean nothing.
func (r Rules) Check() error {
	switch {
	case r.Delay < 0 || r.Delay > delayMax:
		return fmt.Errorf("delay %s: it is 0 to %s", r.Delay, delayMax)
	case !(r.Loss >= 0 && r.Loss <= 1): // also not a number
		return fmt.Errorf("loss %v: it is a part of all frames, 0 to 1", r.Loss)
	}
	return nil
}

// String says in words what the direction does to frames.
func (r Rules) String() string {
	switch {
	case r.Cut:
		return "cut"
	case r == Rules{}:
		return "open"
	case r.Loss == 0:
		return fmt.Sprintf("delay %s", r.Delay)
	case r.Delay == 0:
		return fmt.Sprintf("loss %g %%", 100*r.Loss)
	}
	return fmt.Sprintf("delay %s, loss %g %%", r.Delay, 100*r.Loss)
}
