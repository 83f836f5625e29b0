package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time on CLOCK_MONOTONIC.
func Now() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("monotonic clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// recorder writes down the operations of one run. It is safe for use by many goroutines.
type recorder struct {
	began time.Duration

	mu    sync.Mutex
	file  *os.File
	calls int
}

// newRecorder begins the file of a new run in a directory.
func newRecorder(dir, writer string, epoch uint64) (*recorder, error) {
	at, err := Now()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fmt.Sprintf("%020d-%d%s", at, os.Getpid(), historySuffix))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	r := &recorder{began: at, file: f}
	if err := r.put(line{Writer: writer, Epoch: epoch, At: at}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *recorder) close() error { return r.file.Close() }

// put writes one line, with one system call, so that a process that is killed leaves whole lines.
func (r *recorder) put(l line) error {
	text, err := json.Marshal(l)
	if err == nil {
		_, err = r.file.Write(append(text, '\n'))
	}
	return err
}

// call notes that an operation is about to be asked for, and returns its number.
func (r *recorder) call(kind Kind, block int64, value uint64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, err := Now()
	if err != nil {
		return 0, err
	}
	r.calls++
	return r.calls, r.put(line{Call: r.calls, Kind: kind, Block: block, Value: value, At: at})
}

// answered notes what came back of an operation.
func (r *recorder) answered(number int, got *Content, failed error) error {
	at, err := Now()
	if err != nil {
		return err
	}
	l := line{Return: number, Got: got, At: at}
	if failed != nil {
		l.Error = failed.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.put(l)
}
