// Reads configurations as runc does, and writes each down again as it was understood: what `cargo xtask fuzz runtime_spec`
// compares lockc's reading with.
//
// Input: a byte ('c' configuration, 'p' process, 'r' resources), a length (32 bits, little endian), the text.
// Output: a byte (1: understood), a length, the text.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func understood(kind byte, text []byte) []byte {
	var to any
	switch kind {
	case 'c':
		to = new(specs.Spec)
	case 'p':
		to = new(specs.Process)
	case 'r':
		to = new(specs.LinuxResources)
	default:
		log.Fatalf("unknown kind %q", kind)
	}
	// As runc (spec.go, exec.go, update.go): what follows the first value is not looked at.
	if json.NewDecoder(bytes.NewReader(text)).Decode(to) != nil {
		return nil
	}
	again, err := json.Marshal(to)
	if err != nil {
		log.Fatal(err)
	}
	return again
}

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(in, head); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		text := make([]byte, binary.LittleEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(in, text); err != nil {
			log.Fatal(err)
		}
		again := understood(head[0], text)
		head[0] = 0
		if again != nil {
			head[0] = 1
		}
		binary.LittleEndian.PutUint32(head[1:], uint32(len(again)))
		out.Write(head)
		out.Write(again)
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}
