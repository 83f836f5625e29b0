package domain

import (
	"maps"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// DriverExec is the name of the exec driver in definitions.
const DriverExec = "exec"

func execKind() Kind {
	return Kind{
		Word:  DriverExec,
		Check: func(d guest.Definition) error { _, err := execSettingsOf(d); return err },
		New:   NewExec,
	}
}

// NewExec returns the driver that runs a guest as a command on the host, in a session of its own,
// with the URLs of its volumes (see [VolumeVariable]) and the files that it boots from (see
// [BootVariables]) in its environment, and its output in the file guest.log of the order's directory.
// The guest ends when its main process ends: what that leaves behind is killed.
func NewExec(o Options) Driver {
	return newLocal(o, program{word: DriverExec, command: execCommand})
}

// execSettings are what a definition says below exec.
type execSettings struct {
	Command []string `json:"command"`
}

func execSettingsOf(d guest.Definition) (execSettings, error) {
	var s execSettings
	if err := d.Refuse("boot"); err != nil {
		return s, err
	}
	if err := d.DecodeSettings(&s); err != nil {
		return s, err
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		return s, guest.Faultf("exec", "the exec driver needs a command, as in exec: {command: [/usr/local/bin/guest]}")
	}
	for _, arg := range s.Command {
		if strings.ContainsRune(arg, 0) {
			return s, guest.Faultf("exec.command", "an argument holds a zero byte")
		}
	}
	return s, nil
}

func execCommand(o Order) (args []string, env map[string]string, err error) {
	s, err := execSettingsOf(o.definition())
	if err != nil {
		return nil, nil, err
	}
	env, err = variables(o)
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(env, BootVariables(o.Machine.Boot))
	for _, a := range s.Command {
		args = append(args, expand(a, env))
	}
	return args, env, nil
}
