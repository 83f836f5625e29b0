// Package guest has the words in which a guest is defined, as pure values: what coordinators agree on, what the
// API speaks of and what drivers start is the same.
//
// It does not know what a driver can make of a definition: package domain does.
package guest

import (
	"encoding/json"
	"slices"
)

// Definition is what a driver is told of a guest: everything but where and when it runs.
type Definition struct {
	Name     string
	Driver   string
	Machine  Machine
	Volumes  []Volume
	Settings json.RawMessage // of the driver alone: one JSON object, empty when there are none
	// Salt is what the UUID of a guest that names none is made from beside its name: the cluster that it was defined
	// in. Empty: it was defined before there was one, and keeps the UUID that it has.
	Salt string
}

// Volume is one disk of a guest.
type Volume struct {
	Name   string // of the volume
	Device string // under which the guest sees it, as in vda; empty leaves it to the driver
}

// Machine is what a guest finds itself on. What is zero is left to the driver.
type Machine struct {
	VCPUs       int         `json:"vcpus,omitempty" minimum:"0" doc:"0 is the driver's default"`
	MemoryBytes int64       `json:"memory_bytes,omitempty" minimum:"0" doc:"0 is the driver's default"`
	Interfaces  []Interface `json:"interfaces,omitempty" doc:"network interfaces, in the order that the guest sees"`
	Boot        *Boot       `json:"boot,omitempty" doc:"from its first disk if absent"`
}

// Clone returns a copy that shares nothing with m; "none given" has one form in it.
func (m Machine) Clone() Machine {
	if len(m.Interfaces) == 0 {
		m.Interfaces = nil
	}
	m.Interfaces = slices.Clone(m.Interfaces)
	if m.Boot != nil {
		boot := *m.Boot
		m.Boot = &boot
	}
	return m
}

// Interface is one network interface of a guest.
type Interface struct {
	MAC    string `json:"mac" doc:"aa:bb:cc:dd:ee:ff"`
	Bridge string `json:"bridge,omitempty" doc:"of the host; empty is a network of its own behind the host's address"`
}

// Boot says what a guest starts from: a kernel, or firmware that finds a boot loader on a disk. Each file is an
// absolute path on the host, or an image of the cluster, as in image:debian@3 (see Image).
type Boot struct {
	Kernel      string `json:"kernel,omitempty"`
	Initrd      string `json:"initrd,omitempty"`
	CommandLine string `json:"command_line,omitempty" doc:"of the kernel"`
	RootImage   string `json:"root_image,omitempty" doc:"a disk image that is only read: the first disk"`
	Firmware    string `json:"firmware,omitempty" doc:"image of a firmware instead of the driver's own"`
}

// Policy is when a guest is started, moved and ended. What is zero is the default.
type Policy struct {
	StartOrder  int      `json:"start_order,omitempty" doc:"of guests that start at once, lower ones first"`
	Restart     Restart  `json:"restart,omitempty" enum:"always,never" doc:"when it ended by itself"`
	Failover    Failover `json:"failover,omitempty" enum:"automatic,manual" doc:"when its host is dead"`
	StopSeconds int      `json:"stop_seconds,omitempty" minimum:"0" doc:"from the wish to end to its kill; default 10"`
}

// Restart says what becomes of a guest that ended by itself.
type Restart string

// What becomes of a guest that ended by itself.
const (
	RestartAlways Restart = "always" // it is started again; so is one that says nothing
	RestartNever  Restart = "never"  // it is stopped, and its volumes are detached
)

// Failover says what becomes of a guest whose host is dead.
type Failover string

// What becomes of a guest whose host is dead.
const (
	FailoverAutomatic Failover = "automatic" // it is started elsewhere; so is one that says nothing
	FailoverManual    Failover = "manual"    // it waits for its host, or for an operator
)
