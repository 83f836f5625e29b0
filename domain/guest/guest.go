// Package guest has the words in which a guest is defined, as pure values: what coordinators agree on, the
// API speaks of and drivers start is the same.
//
// It does not know what a driver can make of a definition: package domain does.
package guest

import "encoding/json"

// Definition is what a driver is told of a guest: everything but where and when it runs.
type Definition struct {
	Name     string
	Driver   string
	Volumes  []Volume
	Settings json.RawMessage // of the driver alone: one JSON object, empty when there are none
}

// Volume is one disk of a guest, by the name of its volume.
type Volume struct{ Name string }
