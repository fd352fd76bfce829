"""Many creates from one process: python swarm.py SOCKET COUNT ARCHIVE...

Asks for COUNT environments at once, of the first archive with each of the others in turn;
prints a line "lease base-directory first second" for each; waits to be killed.
"""
import sys
import time

import pyenvd_pb2 as pb
from host import Client, archive


def main():
    socket, count, shared, *others = sys.argv[1:]
    client = Client(socket)
    calls = []
    for i in range(int(count)):
        request = pb.CreateEnvironmentRequest(archives=[
            archive(shared, 'shared'), archive(others[i % len(others)], 'own')])
        calls.append(client.environments.CreateEnvironment.future(request))
    for call in calls:
        response = call.result()
        print(response.lease_id, response.base_directory,
              *(layer.layer_id for layer in response.layers), flush=True)
    print('done', flush=True)
    time.sleep(100_000)


if __name__ == '__main__':
    main()
