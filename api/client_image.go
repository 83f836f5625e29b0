package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Images lists the images.
func (c *Client) Images(ctx context.Context) ([]Image, error) {
	var out []Image
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/images", read: decodeTo(&out)})
	return out, err
}

// Image shows one image.
func (c *Client) Image(ctx context.Context, name string) (Image, error) {
	var out Image
	err := c.do(ctx, call{method: http.MethodGet, path: objectPath("images", name), read: decodeTo(&out)})
	return out, err
}

// DeleteImage forgets a version that no domain needs; 0 is all of them.
func (c *Client) DeleteImage(ctx context.Context, name string, version int) error {
	return c.do(ctx, call{method: http.MethodDelete, path: objectPath("images", name), goneIsDone: true,
		query: url.Values{"version": {strconv.Itoa(version)}}})
}

// PinDomain has a domain boot from another version of an image, NAME@VERSION, from its next start on.
func (c *Client) PinDomain(ctx context.Context, name, image string) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "pin"), Wait{}, PinDomain{Image: image})
}

// RollbackDomain has it boot from what it was pinned to before. What it is pinned to now goes with the call, so that
// one which is repeated does not take itself back.
func (c *Client) RollbackDomain(ctx context.Context, name string) (Domain, error) {
	d, err := c.Domain(ctx, name)
	if err != nil {
		return d, err
	}
	return post[Domain](ctx, c, objectPath("domains", name, "rollback"), Wait{}, RollbackDomain{From: d.Spec.Pins()})
}

// abortTimeout is how long it is tried to forget an upload.
const abortTimeout = 5 * time.Second

// NewImage is a version that is to be added.
type NewImage struct {
	Content   io.Reader
	Digest    string // if it is known before: content that is there already is not sent again
	SizeBytes int64  // likewise; 0 is not known
	Version   int    // the number that it is to have; 0 is the next
	Comment   string
	// Progress, if not nil, is called with how much was sent.
	Progress func(bytes int64)
}

// AddImage sends content and makes it a version of an image. Content that a version has is that version. When it fails,
// or ctx ends, nothing of it stays.
func (c *Client) AddImage(ctx context.Context, name string, image NewImage) (ImageVersion, error) {
	path := objectPath("images", name, "uploads")
	up, err := post[Upload](ctx, c, path, Wait{}, BeginUpload{Digest: image.Digest, SizeBytes: image.SizeBytes})
	if err != nil {
		return ImageVersion{}, err
	}
	if up.Version != 0 && (image.Version == 0 || image.Version == up.Version) {
		return c.versionOf(ctx, name, up.Version)
	}
	digest, size, err := c.send(ctx, path, up, image)
	var out ImageVersion
	if err == nil {
		out, err = post[ImageVersion](ctx, c, path+"/"+url.PathEscape(up.ID)+"/finish", Wait{}, FinishUpload{
			Node: up.Node, Digest: digest, SizeBytes: size, Version: image.Version, Comment: image.Comment})
	}
	if err != nil {
		c.abort(ctx, path, up)
	}
	return out, err
}

func (c *Client) versionOf(ctx context.Context, name string, version int) (ImageVersion, error) {
	i, err := c.Image(ctx, name)
	if err != nil {
		return ImageVersion{}, err
	}
	for _, v := range i.Versions {
		if v.Version == version {
			return v, nil
		}
	}
	return ImageVersion{}, Errorf(CodeNotFound, "image/"+name, "", "version %d of image %s is gone", version, name)
}

// send sends all of the content and returns its digest and size.
func (c *Client) send(ctx context.Context, path string, up Upload, image NewImage) (string, int64, error) {
	sum, chunk, sent := sha256.New(), make([]byte, UploadChunkBytes), int64(0)
	for {
		n, err := io.ReadFull(image.Content, chunk)
		over := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !over {
			return "", sent, fmt.Errorf("read the image: %w", err)
		}
		sum.Write(chunk[:n])
		if n > 0 {
			query := url.Values{"node": {up.Node}, "at": {strconv.FormatInt(sent, 10)}}
			err := c.do(ctx, call{method: http.MethodPut, path: path + "/" + url.PathEscape(up.ID), query: query,
				raw: chunk[:n]})
			if err != nil {
				return "", sent, err
			}
			sent += int64(n)
			if image.Progress != nil {
				image.Progress(sent)
			}
		}
		if over {
			return "sha256:" + hex.EncodeToString(sum.Sum(nil)), sent, nil
		}
	}
}

// abort forgets an upload, also when the caller does not wait any more. What is not told the node forgets by itself.
func (c *Client) abort(ctx context.Context, path string, up Upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_ = c.do(ctx, call{method: http.MethodDelete, path: path + "/" + url.PathEscape(up.ID),
		query: url.Values{"node": {up.Node}}})
}
