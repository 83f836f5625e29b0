package scsi

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// blockErrors are the errors of package block by name; the test below proves that it is all.
func blockErrors() map[string]error {
	return map[string]error{
		"ErrFenced": block.ErrFenced, "ErrUnreachable": block.ErrUnreachable, "ErrFailed": block.ErrFailed,
		"ErrMedium": block.ErrMedium, "ErrNoSpace": block.ErrNoSpace, "ErrReadOnly": block.ErrReadOnly,
		"ErrOutOfRange": block.ErrOutOfRange, "ErrMisaligned": block.ErrMisaligned,
		"ErrClosed": block.ErrClosed, "ErrUnsupported": block.ErrUnsupported,
	}
}

func TestErrorTable_isTotal(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../block/errors.go", nil, 0)
	require.NoError(t, err)
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				declared[name.Name] = true
			}
		}
		return true
	})
	require.Len(t, declared, len(blockErrors()))
	for name := range declared {
		require.Containsf(t, blockErrors(), name, "block.%s has no place in this test", name)
	}
	for name, err := range blockErrors() {
		rows := 0
		for _, row := range errorTable() {
			if row.err == err {
				rows++
				require.NotEqual(t, Good, row.status)
				require.Equal(t, row.status == CheckCondition, row.sense != 0, name)
			}
		}
		require.Equal(t, 1, rows, "rows for %s", name)
	}
}

func TestSenseFor_standardCodes(t *testing.T) {
	tests := []struct {
		err    error
		status Status
		text   string
	}{
		{block.ErrFenced, ReservationConflict, "NO SENSE (00/00/00)"},
		{block.ErrMedium, CheckCondition, "MEDIUM ERROR, UNRECOVERED READ ERROR (03/11/00)"},
		{block.ErrNoSpace, CheckCondition, "DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT (07/27/07)"},
		{block.ErrReadOnly, CheckCondition, "DATA PROTECT, WRITE PROTECTED (07/27/00)"},
		{block.ErrOutOfRange, CheckCondition, "ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE (05/21/00)"},
		{context.Canceled, CheckCondition, "ABORTED COMMAND (0b/00/00)"},
		{errors.New("never foreseen"), CheckCondition, "HARDWARE ERROR, INTERNAL TARGET FAILURE (04/44/00)"},
		{errors.Join(block.ErrFailed, block.ErrFenced), ReservationConflict, "NO SENSE (00/00/00)"},
		{nil, Good, "NO SENSE (00/00/00)"},
	}
	for _, test := range tests {
		status, sense := SenseFor(test.err)
		require.Equal(t, test.status, status, test.err)
		require.Equal(t, test.text, sense.String(), test.err)
		if test.err != nil {
			wrapped, _ := SenseFor(fmt.Errorf("leg 1: write: %w", test.err))
			require.Equal(t, test.status, wrapped)
		}
	}
}

// What a device says must mean the same at the other end of the wire.
func TestErrorFor_isTheWayBack(t *testing.T) {
	other := map[string]error{
		"ErrMisaligned": block.ErrUnsupported, // an initiator only sends whole blocks
		"ErrClosed":     block.ErrFailed,      // the unit is gone: nobody closed the initiator's device
	}
	for name, err := range blockErrors() {
		want := err
		if o, ok := other[name]; ok {
			want = o
		}
		status, sense := SenseFor(err)
		require.ErrorIs(t, ErrorFor(status, sense), want, name)
	}
	require.NoError(t, ErrorFor(Good, Sense{}))
	require.NoError(t, ErrorFor(ConditionMet, Sense{}))
	require.NoError(t, ErrorFor(CheckCondition, Sense{Key: RecoveredError, ASC: 0x17}))
}

// Only RESERVATION CONFLICT means fenced, and nothing unknown means success (protocol-flush F).
func TestErrorFor_onlyReservationConflictIsAFence(t *testing.T) {
	for status := range 256 {
		for key := range 16 {
			for asc := range 256 {
				err := ErrorFor(Status(status), Sense{Key: SenseKey(key), ASC: byte(asc)})
				fenced := errors.Is(err, block.ErrFenced)
				if fenced != (Status(status) == ReservationConflict) {
					t.Fatalf("status %#x key %#x asc %#x: %v", status, key, asc, err)
				}
				success := Status(status) == Good || Status(status) == ConditionMet ||
					Status(status) == CheckCondition && (key == 1 || key == 15)
				if (err == nil) != success {
					t.Fatalf("status %#x key %#x asc %#x: %v", status, key, asc, err)
				}
			}
		}
	}
}

func TestStatusError_text(t *testing.T) {
	err := ErrorFor(CheckCondition, senseReadError.sense())
	require.EqualError(t, err,
		"medium error: CHECK CONDITION: MEDIUM ERROR, UNRECOVERED READ ERROR (03/11/00)")
	require.EqualError(t, ErrorFor(ReservationConflict, Sense{}), "fenced by a newer epoch: RESERVATION CONFLICT")
}

func TestRetryable(t *testing.T) {
	require.True(t, Retryable(CheckCondition, sensePowerOn.sense()))
	require.True(t, Retryable(Busy, Sense{}))
	require.True(t, Retryable(TaskSetFull, Sense{}))
	require.False(t, Retryable(Good, Sense{}))
	require.False(t, Retryable(CheckCondition, senseReadError.sense()))
	require.False(t, Retryable(ReservationConflict, Sense{}))
}
