package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// The environment by which calls from afar are made.
const (
	envCA        = "HOLDFAST_CA"         // file with the cluster's CA, as a node's ca.pem
	envToken     = "HOLDFAST_TOKEN"      // an API token
	envTokenFile = "HOLDFAST_TOKEN_FILE" // file with an API token; better, since others may see an environment
)

// remoteTLS returns the settings of connections to https endpoints: only servers of the CA in
// HOLDFAST_CA are believed, or of the system's if that is not set.
func remoteTLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	path := os.Getenv(envCA)
	if path == "" {
		return config, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envCA, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no certificate: copy a node's ca.pem", envCA, path)
	}
	return config, nil
}

// remoteToken returns the API token of the environment, "" if there is none.
func remoteToken() (string, error) {
	path := os.Getenv(envTokenFile)
	if path == "" {
		return os.Getenv(envToken), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", envTokenFile, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: %s is open to others (mode %04o): chmod 600 it, and make another token "+
			"if somebody may have read it", envTokenFile, path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", envTokenFile, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%s: %s is empty: make a token with holdfast token create", envTokenFile, path)
	}
	return token, nil
}
