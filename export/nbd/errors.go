package nbd

import (
	"errors"

	"github.com/holdfast-storage/holdfast/block"
)

// errnoFor gives an error of the queue its number on the wire. It is the one place that does.
func errnoFor(op block.Op, err error) uint32 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, block.ErrNoSpace):
		return errnoNoSpace
	case errors.Is(err, block.ErrReadOnly):
		return errnoPerm
	case errors.Is(err, block.ErrOutOfRange) && op.Changes():
		return errnoNoSpace // as the protocol asks for writes beyond the end
	case errors.Is(err, block.ErrOutOfRange), errors.Is(err, block.ErrMisaligned):
		return errnoInval
	case errors.Is(err, block.ErrUnsupported):
		return errnoNotSup
	case errors.Is(err, block.ErrFenced), errors.Is(err, block.ErrClosed):
		return errnoShutdown
	}
	return errnoIO
}

// errorFor is the way back: what a number on the wire means at the waist.
func errorFor(errno uint32) error {
	switch errno {
	case 0:
		return nil
	case errnoNoSpace:
		return block.ErrNoSpace
	case errnoPerm:
		return block.ErrReadOnly
	case errnoNotSup:
		return block.ErrUnsupported
	case errnoShutdown:
		return block.ErrClosed
	}
	return block.ErrFailed
}
