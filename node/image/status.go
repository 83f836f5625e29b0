package image

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// Blob returns the file of a blob that a guest may be given, or what it waits for, as in "40 %". It does not block, and
// looks at no file: see Sound.
func (k *Keeper) Blob(d volume.Digest) (path, waits string) {
	if b, here := k.store.state(d); here && !b.verified.IsZero() {
		return k.store.path(d), ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s, size := k.statusOf(d)
	percent := func() string {
		if size == 0 {
			return ""
		}
		return fmt.Sprintf(": %d %%", s.DoneBytes*100/size)
	}
	switch {
	case k.about[d] == nil:
		return "", "this host is not to have it yet"
	case s.State == "verifying":
		return "", "its file is verified" + percent()
	case s.State == "pulling":
		return "", "it is copied here" + percent()
	case s.Error != "":
		return "", "it does not come: " + s.Error
	}
	return "", "its turn has not come yet"
}

// Sound returns an error unless the file of a blob is the one that was verified, as far as that can be told without
// reading it. It is asked right before a guest is given the file.
func (k *Keeper) Sound(d volume.Digest) error {
	err := k.store.sound(d)
	if err != nil {
		k.nudge()
	}
	return err
}

// Status returns the blobs that the node is to have and has not, for heartbeats.
func (k *Keeper) Status() []peer.ImageStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []peer.ImageStatus
	for _, o := range k.orders {
		if b, here := k.store.state(o.Digest); here && !b.verified.IsZero() && o.Has {
			continue
		}
		s, _ := k.statusOf(o.Digest)
		all = append(all, s)
	}
	return all
}

// statusOf returns what is done about a blob, and its size. The caller holds mu.
func (k *Keeper) statusOf(d volume.Digest) (peer.ImageStatus, int64) {
	s := peer.ImageStatus{Digest: d, State: "waiting"}
	if a := k.about[d]; a != nil {
		s.DoneBytes, s.Error = a.done, a.failure
		switch {
		case a.stuck:
			s.State = "failed" // also while it is tried again
		case a.state != "":
			s.State = a.state
		}
	}
	for _, o := range k.orders {
		if o.Digest == d {
			return s, o.SizeBytes
		}
	}
	return s, 0
}

// Counts returns what the keeper did since it was made.
func (k *Keeper) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts
}
