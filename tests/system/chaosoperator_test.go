package system

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/tests/chaos"
)

// chaosOperator keeps a volume attached by hand, with a writer on it, whatever happens: without a domain nobody else
// does. A writer lives and dies with its host, as a guest.
type chaosOperator struct {
	r      *chaosRun
	v      chaosVolume
	host   int          // of v.hosts
	left   *chaosWriter // that he moved away from, nil if none
	orders chan chaos.Step
	stop   chan struct{}
	ended  chan struct{}
}

// attachment is the answer to `volume attach`.
type attachment struct {
	Host    string
	Epoch   uint64
	Exports []struct{ URL string }
}

func newOperator(r *chaosRun, v chaosVolume) *chaosOperator {
	o := &chaosOperator{r: r, v: v, orders: make(chan chaos.Step, 1)}
	o.stop, o.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(o.ended)
		o.work()
	}()
	r.t.Cleanup(o.end)
	return o
}

// ask hands over a Move or a Detach, unless one is being done.
func (o *chaosOperator) ask(s chaos.Step) error {
	select {
	case o.orders <- s:
		return nil
	default:
		return fmt.Errorf("the operator of %s is busy", o.v.name)
	}
}

// end stops the work, detaches the volume and waits. Once is enough.
func (o *chaosOperator) end() {
	select {
	case <-o.stop:
	default:
		close(o.stop)
	}
	<-o.ended
}

// patienceAtOneHost is how often an operator tries to attach before he takes the other host.
const patienceAtOneHost = 2

func (o *chaosOperator) work() {
	failures := 0
	takeover := false
	for {
		a, err := o.attach(takeover)
		if err != nil {
			o.r.t.Logf("operator of %s: %v", o.v.name, err)
			if failures++; failures%patienceAtOneHost == 0 {
				o.host, takeover = 1-o.host, true
			}
			select {
			case <-o.stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		failures, takeover = 0, false
		if o.left != nil && o.left.host == a.Host && o.left.epoch == a.Epoch {
			// The other host could not be had, and the attachment is the one before: its guest is served still, and
			// nothing but the operator keeps another one from it.
			o.left.end()
			o.left = nil // it can be awaited once
		}
		writer, err := o.startWriter(a)
		if err != nil {
			o.r.t.Errorf("operator of %s: %v", o.v.name, err)
			return
		}
		if takeover, err = o.watch(writer); err != nil {
			o.r.t.Logf("operator of %s: %v", o.v.name, err)
		}
		select {
		case <-o.stop:
			o.detach()
			return
		default:
		}
	}
}

// watch waits until the writer ends or the operator has something to do, and says whether to attach by takeover.
func (o *chaosOperator) watch(writer *chaosWriter) (takeover bool, err error) {
	select {
	case <-o.stop:
		writer.end()
	case err = <-writer.ended: // its disk is gone
	case s := <-o.orders:
		if s.Fault == chaos.Move {
			// The old writer is left where it is: it must not be served any more. Killed in the end.
			o.host, o.left = 1-o.host, writer
			return true, nil
		}
		writer.end()
		o.detach()
		select {
		case <-o.stop:
		case <-time.After(s.For):
		}
	}
	return false, err
}

func (o *chaosOperator) attach(takeover bool) (attachment, error) {
	args := []string{"volume", "attach", o.v.name, "--host", o.v.hosts[o.host], "-o", "json"}
	if takeover {
		args = append(args, "--takeover")
	}
	out, err := o.r.try(20*time.Second, args...)
	if err != nil {
		return attachment{}, err
	}
	var a attachment
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		return a, err
	}
	if len(a.Exports) == 0 {
		return a, fmt.Errorf("attach %s: no export in %s", o.v.name, out)
	}
	return a, nil
}

func (o *chaosOperator) detach() {
	if _, err := o.r.try(20*time.Second, "volume", "detach", o.v.name); err != nil {
		o.r.t.Logf("operator of %s: %v", o.v.name, err)
	}
}

// chaosWriter is a writer that an operator started.
type chaosWriter struct {
	process *exec.Cmd
	ended   chan error
	host    string // where it runs, and in which epoch it was started
	epoch   uint64
}

// startWriter starts a writer as a process of the host, so that it is paused and loses its power with it.
func (o *chaosOperator) startWriter(a attachment) (*chaosWriter, error) {
	u, err := url.Parse(a.Exports[0].URL)
	if err != nil {
		return nil, err
	}
	socket := u.Query().Get("socket") // RUN/v/VOLUME/nbd.sock
	run := filepath.Dir(filepath.Dir(filepath.Dir(socket)))
	args := o.r.writerArguments(o.v.name, a.Exports[0].URL, strconv.FormatUint(a.Epoch, 10), "operator at "+a.Host)
	w := &chaosWriter{process: exec.Command(args[0], args[1:]...), ended: make(chan error, 1), host: a.Host,
		epoch: a.Epoch}
	w.process.Env = append(os.Environ(), host.EnvRunDir+"="+run)
	logFile := filepath.Join(o.r.histories(o.v.name), "writers.log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w.process.Stdout, w.process.Stderr = log, log
	if err := w.process.Start(); err != nil {
		return nil, err
	}
	go func() { w.ended <- w.process.Wait() }()
	o.r.t.Cleanup(func() { _ = w.process.Process.Kill() })
	return w, nil
}

// end lets the writer end in order, or kills it.
func (w *chaosWriter) end() {
	_ = w.process.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-w.ended:
		return
	case <-time.After(5 * time.Second):
	}
	_ = w.process.Process.Kill()
	<-w.ended
}
