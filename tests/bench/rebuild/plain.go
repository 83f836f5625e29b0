package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
)

// plain is the copy that a rebuild is compared with: two targets with a file each, on the file system that the legs
// are on, and an initiator of this process between them.
type plain struct {
	sizeBytes int64
	targets   [2]*exec.Cmd // the source, the destination
	files     [2]string
	urls      [2]string
}

// piece is what is read and written at once: as much as a rebuild does.
const piece = 256 << 10

func startPlain(program, dir string, sizeBytes int64) (p *plain, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	started := &plain{sizeBytes: sizeBytes}
	defer func() {
		if err != nil {
			err = errors.Join(err, started.end())
		}
	}()
	p = started
	for i, name := range []string{"source", "destination"} {
		p.files[i] = filepath.Join(dir, name)
		if err := p.serve(program, i, name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// serve starts a target, which ends with this process.
func (p *plain) serve(program string, i int, name string) error {
	log, err := os.Create(p.files[i] + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "target", "--listen", "127.0.0.1:0", "--iqn", "iqn.2026-11.example:"+name,
		"--lun", fmt.Sprintf("%s,size=%d", p.files[i], p.sizeBytes))
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.targets[i] = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the target of %s does not start (see %s): %w", name, log.Name(), err)
	}
	var ok bool
	if p.urls[i], ok = strings.CutPrefix(strings.TrimSpace(line), "ready "); !ok {
		return fmt.Errorf("the target of %s says %q", name, line)
	}
	return nil
}

// end ends the targets in order.
func (p *plain) end() error {
	var errs []error
	for _, cmd := range p.targets {
		if cmd == nil {
			continue
		}
		errs = append(errs, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	}
	return errors.Join(errs...)
}

// fill gives the source a content.
func (p *plain) fill(ctx context.Context, c content) error {
	if err := p.empty(0); err != nil {
		return err
	}
	source, err := p.open(ctx, 0)
	if err != nil {
		return err
	}
	return errors.Join(c.write(ctx, source), source.Close())
}

// copy copies the source to a fresh destination and returns how long that took, with a flush in the end.
func (p *plain) copy(ctx context.Context) (time.Duration, error) {
	if err := p.empty(1); err != nil {
		return 0, err
	}
	source, err := p.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	destination, err := p.open(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer destination.Close()
	buffers := make(chan []byte, fillers)
	for range fillers {
		buffers <- make([]byte, piece)
	}
	began := time.Now()
	err = inTurn(p.sizeBytes/piece, func(i int64) error {
		data := <-buffers
		defer func() { buffers <- data }()
		if err := source.Read(ctx, data, i*piece); err != nil {
			return err
		}
		return destination.Write(ctx, data, i*piece, 0)
	})
	if err == nil {
		err = destination.Flush(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("plain copy: %w", err)
	}
	return time.Since(began), nil
}

// empty makes a file of zeroes of the file that a target has open.
func (p *plain) empty(i int) error {
	return errors.Join(os.Truncate(p.files[i], 0), os.Truncate(p.files[i], p.sizeBytes))
}

func (p *plain) open(ctx context.Context, i int) (*initiator.LUN, error) {
	at, err := url.Parse(p.urls[i])
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(at.Path, "/"), "/")
	return initiator.OpenLUN(ctx, initiator.LUNOptions{
		Session: initiator.Options{TargetName: name, InitiatorName: "iqn.2026-11.example:bench",
			ISID: iscsi.ISID{0x80, 0, 0, 0, 0, 1}},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
		},
	})
}
