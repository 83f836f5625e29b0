package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// imageShelf is a Service that takes uploads, and loses some answers.
type imageShelf struct {
	Service
	mu       sync.Mutex
	has      []byte
	loses    int // answers to pieces that are lost still
	aborted  bool
	finished FinishUpload
	rolled   RollbackDomain
}

func (s *imageShelf) BeginUpload(_ context.Context, _ string, r BeginUpload) (Upload, error) {
	if r.Digest == "sha256:known" {
		return Upload{Version: 3}, nil
	}
	return Upload{ID: "u1", Node: "n1"}, nil
}

func (s *imageShelf) AppendUpload(_ context.Context, name string, u Upload, data []byte) (Upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "debian" || u.ID != "u1" || u.Node != "n1" || u.Bytes > int64(len(s.has)) {
		return u, Errorf(CodeInvalid, "", "", "what is that: %+v", u)
	}
	s.has = append(s.has[:u.Bytes], data...)
	if s.loses > 0 {
		s.loses--
		return u, Errorf(CodeUnknown, "", "", "lost")
	}
	return Upload{ID: "u1", Node: "n1", Bytes: int64(len(s.has))}, nil
}

func (s *imageShelf) FinishUpload(_ context.Context, _, _ string, r FinishUpload) (ImageVersion, error) {
	s.finished = r
	sum := sha256.Sum256(s.has)
	if r.Digest != "sha256:"+hex.EncodeToString(sum[:]) {
		return ImageVersion{}, Errorf(CodeFailed, "", "", "it is something else")
	}
	return ImageVersion{Version: 4, Digest: r.Digest}, nil
}

func (s *imageShelf) AbortUpload(_ context.Context, _ string, u Upload) error {
	s.aborted = u.ID == "u1" && u.Node == "n1"
	return nil
}

func (s *imageShelf) Image(_ context.Context, name string) (Image, error) {
	return Image{Name: name, Versions: []ImageVersion{{Version: 3, Comment: "known"}}}, nil
}

func (s *imageShelf) Domain(_ context.Context, name string) (Domain, error) {
	return Domain{Name: name, Spec: DomainSpec{Machine: guest.Machine{Boot: &guest.Boot{RootImage: "image:debian@2"}}}},
		nil
}

func (s *imageShelf) RollbackDomain(_ context.Context, name string, r RollbackDomain) (Domain, error) {
	s.rolled = r
	return Domain{Name: name}, nil
}

func TestAddImage_overTheWire(t *testing.T) {
	shelf := &imageShelf{loses: 2}
	web := server(t, NewHandler(shelf))
	c := trust(client(t, time.Second, web.URL), web)
	data := bytes.Repeat([]byte("0123456789abcdef"), 150_000) // four pieces and a half
	var seen []int64
	v, err := c.AddImage(t.Context(), "debian", NewImage{Content: bytes.NewReader(data), Version: 4, Comment: "new",
		Progress: func(n int64) { seen = append(seen, n) }})
	require.NoError(t, err)
	require.Equal(t, 4, v.Version)
	require.True(t, bytes.Equal(data, shelf.has), "an answer that was lost doubles nothing")
	require.Equal(t, FinishUpload{Node: "n1", Digest: v.Digest, SizeBytes: int64(len(data)), Version: 4,
		Comment: "new"}, shelf.finished)
	require.Equal(t, []int64{1 << 19, 2 << 19, 3 << 19, 4 << 19, int64(len(data))}, seen)
	require.False(t, shelf.aborted)

	v, err = c.AddImage(t.Context(), "debian", NewImage{Digest: "sha256:known",
		Content: iotest.ErrReader(errors.New("nobody is to read it"))})
	require.NoError(t, err)
	require.Equal(t, "known", v.Comment)

	_, err = c.AddImage(t.Context(), "debian", NewImage{Content: iotest.ErrReader(errors.New("the disk is gone"))})
	require.ErrorContains(t, err, "the disk is gone")
	require.True(t, shelf.aborted, "nothing is left behind")

	shelf.aborted = false
	ctx, cancel := context.WithCancel(t.Context())
	_, err = c.AddImage(ctx, "debian", NewImage{Content: bytes.NewReader(data), Progress: func(int64) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, shelf.aborted)

	_, err = c.RollbackDomain(t.Context(), "web1")
	require.NoError(t, err)
	require.Equal(t, guest.Pins{RootImage: "image:debian@2"}, shelf.rolled.From)
}
