package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// guests is who may use the exports of the volume that other machines reach: who shows a credential of the series that
// the volume has now.
type guests struct {
	volume volume.ID
	log    *slog.Logger

	mu      sync.Mutex // protects what follows; never held while a server is asked for anything
	series  volume.UUID
	servers []*nbd.Server // whose clients are looked at again when the series is another
}

// admit returns why a guest may not use the volume, nil if it may.
func (g *guests) admit(who identity.Guest) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case who.Volume != g.volume:
		return fmt.Errorf("the credential is for volume %s, this is %s", who.Volume, g.volume)
	case who.Series.IsZero() || who.Series != g.series:
		return errors.New("the credential was taken back: make another with `holdfast volume credential`")
	}
	return nil
}

// take has a ticket's series hold from now on, and ends who is connected by a credential of another.
func (g *guests) take(series volume.UUID) {
	g.mu.Lock()
	if series == g.series {
		g.mu.Unlock()
		return
	}
	old := g.series
	g.series = series
	servers := slices.Clone(g.servers)
	g.mu.Unlock()
	if !old.IsZero() {
		g.log.Info("credentials of guests taken back")
	}
	for _, s := range servers {
		s.Recheck()
	}
}

// watch has a server's clients looked at again, until the function that it returns is called.
func (g *guests) watch(s *nbd.Server) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.servers = append(g.servers, s)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.servers = slices.DeleteFunc(g.servers, func(o *nbd.Server) bool { return o == s })
	}
}
