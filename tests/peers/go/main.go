// Asks a daemon for its health and its description, as any grpc-go client would.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

const symbol = "pyenvd.v1.Environments"

func checkHealth(ctx context.Context, conn *grpc.ClientConn) error {
	client := health.NewHealthClient(conn)
	for _, service := range []string{"", symbol} {
		answer, err := client.Check(ctx, &health.HealthCheckRequest{Service: service})
		if err != nil {
			return err
		}
		if answer.Status != health.HealthCheckResponse_SERVING {
			return fmt.Errorf("'%s' is %v", service, answer.Status)
		}
	}
	return nil
}

type stream = reflection.ServerReflection_ServerReflectionInfoClient

func ask(s stream, request *reflection.ServerReflectionRequest) (
	*reflection.ServerReflectionResponse, error) {
	if err := s.Send(request); err != nil {
		return nil, err
	}
	return s.Recv()
}

func checkServices(s stream) error {
	answer, err := ask(s, &reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_ListServices{}})
	if err != nil {
		return err
	}
	for _, service := range answer.GetListServicesResponse().GetService() {
		if service.Name == symbol {
			return nil
		}
	}
	return fmt.Errorf("%s is not listed: %v", symbol, answer)
}

func checkSymbol(s stream) error {
	answer, err := ask(s, &reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: symbol}})
	if err != nil {
		return err
	}
	for _, data := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		var file descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(data, &file); err != nil {
			return err
		}
		for _, service := range file.Service {
			if file.GetPackage()+"."+service.GetName() == symbol && len(service.Method) > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("no file holds %s: %v", symbol, answer)
}

func checkReflection(ctx context.Context, conn *grpc.ClientConn) error {
	s, err := reflection.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	if err := checkServices(s); err != nil {
		return err
	}
	if err := checkSymbol(s); err != nil {
		return err
	}
	return s.CloseSend()
}

func run(socket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix:"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := checkHealth(ctx, conn); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if err := checkReflection(ctx, conn); err != nil {
		return fmt.Errorf("reflection: %w", err)
	}
	return nil
}

func main() {
	if len(os.Args) != 2 || !strings.HasPrefix(os.Args[1], "/") {
		fmt.Fprintln(os.Stderr, "usage: peer SOCKET")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
