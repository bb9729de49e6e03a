from pyg_msg3d.cli import main

if __name__ == '__main__':
    main()
